//! The database: opening it, upgrading it, and its failures.

pub mod adoption;
pub mod connection_settings;
pub mod durability;
pub mod fault_log;
pub mod faults;
pub mod opening;
pub mod outage;
pub mod pooler;
pub mod prepared_statements;
pub mod schema_upgrade;
