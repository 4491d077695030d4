//! Between nodes: a committed change is announced to every node that watches its user.
//!
//! In the flow: `library` publishes after commit; the hub listens, and says whom it watches.
//!
//! ```text
//! publish ─┬─ this node's listener, at once
//!          └─ outbox (newest head a user) ─ link ─ server ─ link ─ inbox ─ other nodes' listeners
//! watch ──── interest (who is wanted) ───── link
//! ```
//!
//! A broker for several nodes is a supervisor, which keeps one connection up, and a route to one
//! kind of server: PostgreSQL, Redis or NATS. Redis Cluster is several supervisors, one a shard.
//!
//! **Invariant:** a [`Notice`] is a hint, not data. It may be lost, repeated, late or out of order; the hub keeps the
//! greatest head and the feed re-reads what it doubts. So a broker never fails and never slows a write.
//! **Invariant:** a head is a level: of several unsent notices of one user only the newest is kept and sent, so what
//! waits is bounded by the number of users and, beyond a capacity, dropped and counted.
//! **Invariant:** whenever notices may have been missed the listener is told so: of everybody after a link was made,
//! made again or has lagged, of one user once their notices arrive from now on.
//! **Invariant:** no address, which may hold a password, reaches a log or an error.

mod address;
mod connection;
mod inbox;
mod interest;
mod memory;
mod nats;
mod notice;
mod open;
mod outbox;
mod postgres;
mod reconnect;
mod redis;
mod single_server;
mod timing;

pub use self::{
    address::InvalidAddress,
    memory::Memory,
    notice::{Broker, Listener, Notice, Signal},
    open::open,
    timing::Timing,
};
