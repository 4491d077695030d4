//! GraphQL over WebSocket: the `graphql-transport-ws` protocol.
//!
//! ```text
//! upgrade ─ authentication ─ connection_init ─ a permit ─ connection_ack ─┬─ in:  framed_socket, message, operations
//!                                                                         └─ out: session, one message at a time
//! ```
//!
//! The guards are those of HTTP: a cookie is accepted only from an allowed origin, checked at the upgrade, and a ticket
//! allows only subscriptions. Messages are processed in order, so a client can send `subscribe` directly after
//! `connection_init`.
//!
//! **Invariant:** no library data is sent before `connection_ack`.

mod close_code;
mod fragmentation;
mod frame_rate;
mod framed_socket;
mod handshake;
mod message;
mod operations;
pub(in crate::http) mod pending_sockets;
mod session;
pub(super) mod upgrade;
