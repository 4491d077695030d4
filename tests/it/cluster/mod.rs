//! Several nodes as one server: brokers, proxies, failures, and shutdown.

pub mod broker_permissions;
pub mod brokers;
pub mod node_failures;
pub mod proxies;
pub mod shutdown;
pub mod tracing;
