//! Detects whether the database accepts writes, and logs the begin and end of an outage.
//!
//! Only a write detects a full disk, so the probe inserts a ticket without a user and deletes it in the same transaction.
//! In PostgreSQL the insert may reuse free space in the table's pages. So the probe first spills rows to a temporary
//! file, which is on the volume of the tables.
//!
//! **Invariant:** a probe does not wait for requests: it has its own connection and a short timeout for SQLite's write
//! lock.
//! **Invariant:** an outage logs two lines, for any number of failed requests.

#![expect(
    clippy::disallowed_methods,
    reason = "the probe deletes the ticket that it inserts"
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

/// Age up to which a commit makes a probe unnecessary, unless a request has failed since.
const FRESH: Duration = Duration::from_secs(1);

/// Time limit of a probe: shorter than the timeouts of common health checks.
pub(super) const PROBE_PATIENCE: Duration = Duration::from_millis(900);

/// Timeout of the probe for SQLite's write lock.
pub(in crate::library) const PROBE_BUSY: Duration = Duration::from_millis(200);

/// Interval of probes during an outage.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Time without a failed request after which an outage ends: on a nearly full disk, small writes succeed between large
/// ones that fail.
const QUIET: Duration = Duration::from_secs(2);

/// Spills rows to a temporary file: they exceed `work_mem`, set to its minimum.
const SPILL: [&str; 2] = [
    "SET LOCAL work_mem = '64kB'",
    "SELECT count(*) FROM generate_series(1, 10000)",
];

/// The outcome of the last writes.
#[derive(Debug)]
pub(in crate::library) struct WriteState(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// Time of the last committed write.
    committed: Instant,
    lost: Option<Lost>,
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    since: Instant,
    /// Time of the last failed request.
    failed: Instant,
}

impl Default for WriteState {
    /// The state of a database that was just opened.
    fn default() -> Self {
        Self(Mutex::new(Seen {
            committed: Instant::now(),
            lost: None,
        }))
    }
}

impl Database {
    /// Checks that the database accepts writes now.
    ///
    /// # Errors
    /// With the cause, if it does not.
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
            // Another write runs, within its time limit.
            Ok(Err(error)) if is_busy(&error) && committed.elapsed() < self.patience() => {
                return Ok(());
            }
            Ok(Err(error)) => Error::from(error),
            Err(_) => Error::unavailable(Unanswered(PROBE_PATIENCE)),
        };
        self.lose(&error);
        Err(error)
    }

    pub(super) async fn write_probe(&self) -> Result<(), DbErr> {
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
            issued_at: Set(None),
        };
        ticket::Entity::insert(row)
            .exec_without_returning(&tx)
            .await?;
        ticket::Entity::delete_by_id(digest).exec(&tx).await?;
        tx.commit().await
    }

    /// Records a committed write.
    pub(in crate::library) fn wrote(&self) {
        self.state.0.lock().committed = Instant::now();
    }

    /// Records why a request failed, if other requests will fail for the same reason.
    pub(in crate::library) fn note(&self, error: &Error) {
        if error.is_outage() {
            self.lose(error);
        }
    }

    /// Logs once that the database is lost, and later that it is back.
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
            // A broken connection does not know the cause; a new one does.
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
