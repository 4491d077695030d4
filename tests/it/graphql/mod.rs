//! GraphQL over HTTP: documents, their limits, and the forms of answers.

pub mod documents;
pub mod http;
pub mod schema;
pub mod streaming;
