//! The documents and the source tree match the rules and the code.

pub mod alerts;
pub mod architecture;
pub mod dashboards;
pub mod documented_clients;
pub mod getting_started;
pub mod language;
pub mod links;
pub mod loads;
pub mod readme;
pub mod refresh_loop;
pub mod release;
pub mod schema_changes;
