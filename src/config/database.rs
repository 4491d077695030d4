//! Database settings.

use std::time::Duration;

use clap::Args;

use super::secret::Secret;
use crate::duration::{parse_period, parse_wait};

/// Database settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// Database URL: `postgres://user:password@host/name` or `sqlite://file.db?mode=rwc`. Without `mode=rwc`, a SQLite file
    /// must exist. Falls back to the variable `DATABASE_URL`.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// URL of a read replica for queries. The replica may lag, but a client never reads a version older than the one in its
    /// `X-Min-Library-Version` header. Version checks and writes always use the primary.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub read_database_url: Option<Secret>,
    /// Maximum replication lag. Beyond it, queries read the primary. A replica that accepts writes, or belongs to another
    /// cluster, is never read. 0s disables the limit.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_wait)]
    pub max_replica_lag: Duration,
    /// Maximum number of database connections.
    #[arg(
        long,
        env,
        default_value_t = 10,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub database_connections: u32,
    /// Time limit for a request to get a database connection. After it, the request fails with UNAVAILABLE.
    #[arg(long, env, default_value = "5s", value_name = "DURATION", value_parser = parse_period)]
    pub database_wait: Duration,
    /// Time limit of one SQL statement. On SQLite, it applies to reads and to waits for another process's lock. A query or
    /// mutation may take twice this plus `--database-wait` in all. 0s disables the limit.
    #[arg(long, env, default_value = "15s", value_name = "DURATION", value_parser = parse_wait)]
    pub statement_timeout: Duration,
    /// Maximum number of concurrent queries of one user, and of their concurrent read statements. Further ones wait up to
    /// `--database-wait`, with fair queuing among users. At most half of `--database-connections`. Defaults to 4. On
    /// SQLite, which uses the server's own cores, defaults to half of the cores if that is less.
    #[arg(long, env, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_user_reads: Option<u32>,
}

impl Database {
    /// Returns the URL from the setting or from `DATABASE_URL`.
    pub fn url(&self) -> Option<Secret> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this module is where the environment is read"
        )]
        let fallback = || std::env::var("DATABASE_URL").ok().map(Secret);
        let given = self.database_url.clone().or_else(fallback);
        given.filter(|url| !url.0.is_empty())
    }

    /// Returns the name of the setting that holds the URL, for errors.
    pub fn setting(&self) -> &'static str {
        match self.database_url {
            Some(_) => "--database-url (LIBRARY_SYNC_DATABASE_URL)",
            None => "DATABASE_URL",
        }
    }
}
