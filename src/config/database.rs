//! Which database, and how much of it to use.

use std::time::Duration;

use clap::Args;
use humantime::parse_duration;

use super::secret::Secret;

/// Which database, and how much of it to use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// Where libraries are kept: `postgres://user:password@host/name` or `sqlite://file.db?mode=rwc`. Without `mode=rwc`
    /// a SQLite file must exist. `DATABASE_URL` is read when neither the flag nor its variable is given.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<Secret>,
    /// A replica of the database that queries may read. It may lag: what a client has seen, by its
    /// `X-Min-Library-Version`, it is not shown older. Versions and writes never use it.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub read_database_url: Option<Secret>,
    /// How far that replica may lag before queries read the primary instead. One that takes writes, or is of another
    /// cluster, is never read. 0s for no limit.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    pub max_replica_lag: Duration,
    /// How many connections to open at the most.
    #[arg(
        long,
        env,
        default_value_t = 10,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub database_connections: u32,
    /// How long a request waits for its user's turn to use the database before it is answered UNAVAILABLE.
    #[arg(long, env, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    pub database_wait: Duration,
    /// How long one SQL statement may run; on SQLite, one that reads, and how long one waits for another process's lock.
    /// A query or a change may take twice that and `--database-wait` in all. 0s for no limit.
    #[arg(long, env, default_value = "15s", value_name = "DURATION", value_parser = parse_duration)]
    pub statement_timeout: Duration,
    /// How many queries of one user run at once, and how many of their statements that read; the others wait, fairly
    /// among users, for as long as `--database-wait`. At most half of `--database-connections`. By default 4; on SQLite,
    /// which reads on the server's own cores, half of those if that is less.
    #[arg(long, env, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_user_reads: Option<u32>,
}

impl Database {
    /// The address, from the setting or from `DATABASE_URL`.
    pub fn url(&self) -> Option<Secret> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this module is where the environment is read"
        )]
        let fallback = || std::env::var("DATABASE_URL").ok().map(Secret);
        let given = self.database_url.clone().or_else(fallback);
        given.filter(|url| !url.0.is_empty())
    }

    /// Which setting the address comes from, for errors.
    pub fn setting(&self) -> &'static str {
        match self.database_url {
            Some(_) => "--database-url (LIBRARY_SYNC_DATABASE_URL)",
            None => "DATABASE_URL",
        }
    }
}
