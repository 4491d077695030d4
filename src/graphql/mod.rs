//! The GraphQL API: its schema, its resolvers and the execution of operations.
//!
//! In the flow: `http` parses bytes into an [`async_graphql::Request`] and a [`Viewer`](crate::auth::Viewer). [`Api`]
//! executes it. Resolvers read the library, write it once per mutation, or follow the feed.
//!
//! **Invariant:** every operation has a viewer. The API does not serve anonymous requests.
//! **Invariant:** every operation was validated as an [`Operation`], on every transport.
//! **Invariant:** every response to an executed operation, and each event of a subscription, has
//! `extensions.libraryVersion`. Its data is at least as new as this version. Request errors contain no data and omit
//! it.

mod account_mutation;
mod batch;
mod code;
mod coercion_error;
mod context;
mod device_mutation;
mod error;
mod executor;
mod fair_cache;
pub mod json;
mod limits;
mod mutation;
mod named_documents;
mod operation;
mod prepare;
mod query;
mod request;
mod response;
mod schema;
mod sdl;
mod subscription;
mod types;
mod usage_mutation;
mod version_stream;

pub use self::{
    executor::Api,
    limits::Limits,
    named_documents::{Documents, KeepLimits},
    operation::Operation,
    request::{Malformed, request},
    response::Answer,
    sdl::sdl,
};
