//! `/graphql`: GraphQL over HTTP by POST and GET, as streams, and over WebSocket.

pub(super) mod accept_header;
pub(super) mod handler;
pub(super) mod operation;
pub(super) mod request;
pub(super) mod streaming;
#[cfg(test)]
pub(super) mod testing;
pub(super) mod websocket;
