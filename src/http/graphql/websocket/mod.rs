//! GraphQL over WebSocket: the `graphql-transport-ws` protocol, over a feed and the schema.
//!
//! ```text
//! upgrade ─ who is calling? ─ connection_init ─ a permit ─ connection_ack ─┬─ messages in:  line, message, operations
//!                                                                         └─ messages out: one at a time, session
//! ```
//!
//! Queries and mutations pass the guards they pass over HTTP: a cookie counts only from an allowed origin, checked when
//! the socket opens, and a ticket opens subscriptions alone.
//!
//! Messages are taken one after the other, so what a client sends on the heels of `connection_init` is met by a socket
//! that has been acknowledged by then, or closed.
//!
//! **Invariant:** nothing of a library is told before `connection_ack`.

mod close_code;
mod fragmentation;
mod framed_socket;
mod handshake;
mod message;
mod operations;
pub(in crate::http) mod pending_sockets;
mod session;
pub(super) mod upgrade;
