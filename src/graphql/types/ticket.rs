//! Tickets for streams.

use async_graphql::SimpleObject;

/// The answer of `createStreamTicket`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CreateStreamTicketPayload {
    /// The version of your library.
    pub library_version: i32,
    /// Opens one stream: add it to the stream's address as `?ticket=`. Good for nothing else, and only once.
    pub ticket: String,
    /// For how many seconds it can be used.
    pub expires_in: i32,
}
