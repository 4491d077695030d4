//! GraphQL over HTTP: documents, their limits, and response formats.

pub mod documents;
pub mod http;
pub mod schema;
pub mod streaming;
