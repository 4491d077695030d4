//! Pools, connections, transactions and admission.

pub(super) mod admission;
pub(super) mod any_of;
pub(super) mod clock;
pub(super) mod dedicated_connection;
pub(super) mod dialect;
pub(super) mod examination;
pub(super) mod fair_queue;
pub(super) mod first_connection;
pub(super) mod kept_connections;
pub(super) mod lost_connection;
pub(super) mod options;
pub(super) mod outage;
pub(super) mod pool_metrics;
pub(super) mod pool_options;
pub(super) mod pools;
pub(super) mod promises;
pub(super) mod read_connection;
pub(super) mod replica;
pub(super) mod schema_check;
pub(super) mod sqlite_copy;
pub(super) mod sqlite_file;
pub(super) mod statement_metrics;
pub(super) mod transaction;
pub(super) mod write_probe;
