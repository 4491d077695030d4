//! Counts and times statements.

use std::time::Duration;

use metrics::{counter, histogram};
use sea_orm::DatabaseConnection;

/// The pool, with its statements counted and timed.
pub(super) fn observed(mut pool: DatabaseConnection) -> DatabaseConnection {
    pool.set_metric_callback(|ran| observe(&ran.statement.sql, ran.elapsed, ran.failed));
    pool
}

/// Records the metrics of a statement.
pub(in crate::library) fn observe(sql: &str, elapsed: Duration, failed: bool) {
    // Only the text: the values are personal data.
    tracing::trace!(db.statement = sql, "a statement ran");
    let outcome = if failed { "error" } else { "ok" };
    counter!("library_sync_db_statements_total", "outcome" => outcome).increment(1);
    histogram!("library_sync_db_statement_seconds").record(elapsed.as_secs_f64());
}
