//! Whether the database takes writes, and the log lines that say when it stopped to and when it does again.
//!
//! A full disk shows only where something is written, so the probe writes: a ticket for nobody, removed in the same
//! transaction, so that nothing of it stays. On PostgreSQL that fills space in pages that the table has, so before it
//! some rows are sent through a temporary file, which is on the volume of the tables.
//!
//! **Invariant:** a probe waits for no request: its connection is its own, and it does not queue for SQLite's write lock.
//! **Invariant:** an outage is two lines in the log, however many requests fail in it.

#![expect(
    clippy::disallowed_methods,
    reason = "a probe writes a ticket for nobody and removes it"
)]

use std::time::Duration;

use metrics::gauge;
use parking_lot::Mutex;
use sea_orm::{
    ActiveValue::Set, ConnAcquireErr, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _,
};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    pools::Database,
    transaction::{Purpose, Transaction},
};
use crate::library::{
    entity::{columns::millis, ticket},
    error::{Error, Unanswered, is_busy},
};

/// How long a commit proves that there is no need to probe, unless a request has failed since.
const FRESH: Duration = Duration::from_secs(1);

/// How long a probe may take: less than health checks of common load balancers wait.
const PROBE_PATIENCE: Duration = Duration::from_millis(900);

/// How long a probe waits for SQLite's write lock.
pub(in crate::library) const PROBE_BUSY: Duration = Duration::from_millis(200);

/// How often a lost database is probed.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long no request must have failed before a database counts as back: on a disk that is nearly full, small writes
/// succeed between large ones that fail.
const QUIET: Duration = Duration::from_secs(2);

/// Sends rows through a temporary file: they take more than `work_mem`, of which this is the least.
const SPILL: [&str; 2] = [
    "SET LOCAL work_mem = '64kB'",
    "SELECT count(*) FROM generate_series(1, 10000)",
];

/// What the last writes have shown.
#[derive(Debug)]
pub(in crate::library) struct WriteState(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// When a write was committed last.
    committed: Instant,
    lost: Option<Lost>,
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    since: Instant,
    /// When a request failed last.
    failed: Instant,
}

impl Default for WriteState {
    /// The state of a database that has just been opened.
    fn default() -> Self {
        Self(Mutex::new(Seen {
            committed: Instant::now(),
            lost: None,
        }))
    }
}

impl Database {
    /// Whether the database takes writes now.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn takes_writes(&self) -> Result<(), Error> {
        self.check_file()?;
        let (committed, is_lost) = {
            let seen = self.state.0.lock();
            (seen.committed, seen.lost.is_some())
        };
        if committed.elapsed() < FRESH && !is_lost {
            return Ok(());
        }
        let error = match timeout(PROBE_PATIENCE, self.write_probe()).await {
            Ok(Ok(())) => {
                self.wrote();
                return Ok(());
            }
            // A write is under way, and none may take longer than this.
            Ok(Err(error)) if is_busy(&error) && committed.elapsed() < self.patience() => {
                return Ok(());
            }
            Ok(Err(error)) => Error::from(error),
            Err(_) => Error::unavailable(Unanswered(PROBE_PATIENCE)),
        };
        self.lose(&error);
        Err(error)
    }

    async fn write_probe(&self) -> Result<(), DbErr> {
        let tx = Transaction::begin(&self.probe, Purpose::Write).await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            for sql in SPILL {
                tx.execute_unprepared(sql).await?;
            }
        }
        let digest = format!("probe {}", Uuid::now_v7());
        let row = ticket::ActiveModel {
            digest: Set(digest.clone()),
            user_id: Set(String::new()),
            expires_at: Set(millis(OffsetDateTime::UNIX_EPOCH)),
            lapses_at: Set(millis(OffsetDateTime::UNIX_EPOCH)),
        };
        ticket::Entity::insert(row)
            .exec_without_returning(&tx)
            .await?;
        ticket::Entity::delete_by_id(digest).exec(&tx).await?;
        tx.commit().await
    }

    /// Takes down that a write was committed.
    pub(in crate::library) fn wrote(&self) {
        self.state.0.lock().committed = Instant::now();
    }

    /// Takes down why a request failed, if others will fail for the same reason.
    pub(in crate::library) fn note(&self, error: &Error) {
        if error.is_outage() {
            self.lose(error);
        }
    }

    /// Logs that the database is lost, unless that has been logged, and then when it is back.
    fn lose(&self, error: &Error) {
        let now = Instant::now();
        let mut seen = self.state.0.lock();
        if let Some(lost) = &mut seen.lost {
            lost.failed = now;
            return;
        }
        seen.lost = Some(Lost {
            since: now,
            failed: now,
        });
        drop(seen);
        let (database, causes) = (self.clone(), error.causes().unwrap_or_default());
        tokio::spawn(async move {
            // A connection that broke does not know why; the next one does.
            let unreachable = database.why_unreachable().await;
            let causes = unreachable.map_or(causes, |cause| cause.to_string());
            gauge!("library_sync_database_up").set(0.0);
            tracing::error!(error.causes = causes, "database lost");
            database.await_return().await;
        });
    }

    async fn await_return(self) {
        loop {
            sleep(CHECK_EVERY).await;
            let probed = timeout(PROBE_PATIENCE, self.write_probe()).await;
            if let Ok(Err(DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed))) = probed {
                return;
            }
            let mut seen = self.state.0.lock();
            if let (Ok(Ok(())), Some(lost)) = (probed, seen.lost)
                && lost.failed.elapsed() >= QUIET
            {
                seen.lost = None;
                let duration_ms = lost.since.elapsed().as_millis();
                drop(seen);
                gauge!("library_sync_database_up").set(1.0);
                tracing::info!(duration_ms, "database back");
                return;
            }
        }
    }
}
