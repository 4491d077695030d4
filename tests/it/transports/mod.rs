//! The transports of version streams, one by one and all together, and the clients that read them.

pub mod client_conformance;
pub mod clients;
pub mod conformance;
pub mod detached_streams;
pub mod every_transport;
pub mod next_app;
pub mod trpc;
pub mod version_events;
pub mod websocket;
