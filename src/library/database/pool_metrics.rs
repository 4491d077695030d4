//! Metrics of the connection pools.

use metrics::gauge;
use sea_orm::{DatabaseConnection, DbBackend};

use super::pools::Database;

impl Database {
    /// Sets the gauge of connections by pool and state.
    pub fn measure_pools(&self) {
        let fresh = match self.write.get_database_backend() {
            DbBackend::Sqlite => Some(&self.fresh),
            // PostgreSQL has one pool for both.
            _ => None,
        };
        let pools = [
            ("write", Some(&self.write)),
            ("read", fresh),
            ("replica", self.replica.as_ref()),
        ];
        for (name, pool) in pools {
            let Some((open, mut idle)) = pool.map(connections) else {
                continue;
            };
            if name == "write" {
                idle += self.kept.idle();
            }
            for (state, count) in [("used", open.saturating_sub(idle)), ("idle", idle)] {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                gauge!("library_sync_db_connections", "pool" => name, "state" => state)
                    .set(f64::from(count));
            }
        }
    }
}

/// Returns the numbers of open and of idle connections.
#[expect(
    clippy::disallowed_methods,
    reason = "reads a pool's size, and takes no connection"
)]
fn connections(pool: &DatabaseConnection) -> (usize, usize) {
    if pool.get_database_backend() == DbBackend::Sqlite {
        let pool = pool.get_sqlite_connection_pool();
        (pool.size() as usize, pool.num_idle())
    } else {
        let pool = pool.get_postgres_connection_pool();
        (pool.size() as usize, pool.num_idle())
    }
}
