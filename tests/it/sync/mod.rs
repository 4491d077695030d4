//! How a device learns what changed: deltas, events, retention, and epochs.

pub mod clocks;
pub mod convergence;
pub mod deltas;
pub mod failover;
pub mod library_events;
pub mod model;
pub mod protocol;
pub mod python_client;
pub mod retention;
