//! The GraphQL API: what each field means, and how an operation of one viewer is run.
//!
//! In the flow: `http` turns bytes into an [`async_graphql::Request`] and a [`Viewer`](crate::auth::Viewer); [`Api`] runs it; resolvers
//! read the library, write it once a mutation, or follow the feed.
//!
//! **Invariant:** every operation has a viewer. There is no anonymous GraphQL.
//! **Invariant:** every operation was checked as an [`Operation`], whatever transport it came by.
//! **Invariant:** every answer to what was run, each event of a subscription too, says `extensions.libraryVersion`, a
//! version its data is at least as new as. Only request errors, which show nothing, do not.

mod batch;
mod code;
mod coercion_error;
mod context;
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

pub use self::{
    executor::Api,
    limits::Limits,
    named_documents::{Documents, KeepLimits},
    operation::Operation,
    request::{Malformed, request},
    response::Answer,
    sdl::sdl,
};
