//! The broker between nodes: announces a committed change to every node that watches its user.
//!
//! In the flow: `library` publishes after commit. The hub listens and registers the users that it watches.
//!
//! ```text
//! publish ─┬─ this node's listener, at once
//!          └─ outbox (newest head per user) ─ link ─ server ─ link ─ inbox ─ other nodes' listeners
//! watch ──── interest (watched users) ─────── link
//! ```
//!
//! A broker for several nodes is a supervisor, which keeps one connection open, and a route to one kind of server:
//! PostgreSQL, Redis or NATS. Redis Cluster has one supervisor per shard.
//!
//! **Invariant:** a [`Notice`] is a hint: it may be lost, duplicated, late or out of order. The hub keeps the greatest head,
//! and the feed re-reads heads in doubt. So a broker never fails and never delays a write.
//! **Invariant:** unsent notices are coalesced to the newest head of each user. The outbox is bounded by the number of users
//! and by a capacity. Notices beyond the capacity are dropped and counted.
//! **Invariant:** the listener is notified when notices may have been missed: for all users after a connect, a reconnect or
//! a lag, and for one user once the subscription is active.
//! **Invariant:** logs and errors never contain an address, which may hold a password.

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
mod round_trip;
mod single_server;
mod timing;

pub use self::{
    address::InvalidAddress,
    memory::Memory,
    notice::{BROKERS, Broker, Commit, Listener, Notice, Signal},
    open::open,
    round_trip::{RoundTripError, round_trips},
    timing::Timing,
};
