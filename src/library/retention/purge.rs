//! Purges expired history, tombstones, receipts and tickets in small steps.
//!
//! Steps walk each table from its oldest row. Each starts where the last one ended, also that of the purge before, so that
//! deleted rows are not scanned again.
//!
//! **Invariant:** the floor rises in the transaction that purges, to the newest purged stamp, so that no delta is computed
//! from incomplete history.
//! **Invariant:** a wrong clock purges nothing early. Ages count up to the newest time in the database at process start
//! plus the process's uptime, and only while the clocks of node and database agree.
//! **Invariant:** a purge does not wait for writers, and locks users' rows for one statement only.

use std::time::{Duration, Instant};

use metrics::counter;
use sea_orm::{ConnectionTrait as _, Statement};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{
    purge_step::{BATCH, Rows, Span, Step, page, purge_step},
    walks::Walks,
};
use crate::{
    library::{database::clock, error::Error, handle::Library},
    unix_time,
    version::UserId,
};

/// Gap between the clock and the newest time in the database from which a warning is logged.
const REPORTED_GAP: time::Duration = time::Duration::days(1);

const TICKETS: Rows = Rows {
    table: "topaz_ticket",
    time: "lapses_at",
    is_history: false,
};
const RECEIPTS: Rows = Rows {
    table: "topaz_receipt",
    time: "created_at",
    is_history: false,
};
const WRITES: Rows = Rows {
    table: "topaz_write",
    time: "written_at",
    is_history: false,
};
const USAGE: Rows = Rows {
    table: "topaz_usage",
    time: "used_at",
    is_history: false,
};
const TOMBSTONES: Rows = Rows {
    table: "topaz_tombstone",
    time: "removed_at",
    is_history: true,
};
const UNDONE_REMOVALS: Rows = Rows {
    table: "topaz_undone_removal",
    time: "removed_at",
    is_history: true,
};
const LABEL_REMOVALS: Rows = Rows {
    table: "topaz_label_removal",
    time: "removed_at",
    is_history: true,
};
const FIELD_CHANGES: Rows = Rows {
    table: "topaz_field_change",
    time: "changed_at",
    is_history: true,
};

/// Retention periods.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Tombstones, earlier field values, and the log of changes: how long a client can be offline and still get a delta
    /// instead of a reset. Also scores of entries that are not used.
    pub history: Duration,
    /// Receipts: how long a mutation can be replayed.
    pub receipts: Duration,
}

/// The newest time in the database at process start. It has certainly passed, even if the clock is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Witnessed {
    newest: OffsetDateTime,
    since: Instant,
}

impl Witnessed {
    /// The time up to which ages count, given the clock's time `clock`.
    fn now(self, clock: OffsetDateTime) -> OffsetDateTime {
        clock.min(self.newest + self.since.elapsed())
    }
}

impl Library {
    /// Reads the newest time in the database. Must be called before this process writes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn witnessed(&self) -> Result<Witnessed, Error> {
        let db = &self.db.fresh;
        let clock = self.db.in_time(self.db.skew.ask(db)).await?.now;
        if self.db.missing_schema().await?.is_some() {
            // Tables that are created later are empty.
            return Ok(Witnessed {
                newest: clock,
                since: Instant::now(),
            });
        }
        let newest = [RECEIPTS, WRITES, TOMBSTONES, LABEL_REMOVALS, FIELD_CHANGES]
            .map(|Rows { table, time, .. }| format!("SELECT max({time}) AS newest FROM {table}"))
            .join(" UNION ALL ");
        let sql = format!(
            "SELECT max(newest) AS {} FROM ({newest}) AS newest",
            clock::NOW
        );
        let select = Statement::from_string(db.get_database_backend(), sql);
        let row = self.db.in_time(db.query_one_raw(select)).await?;
        // An empty database has nothing to purge early.
        let newest = row
            .map(|row| clock::find_in_row(&row))
            .transpose()?
            .flatten();
        Ok(Witnessed {
            newest: newest.unwrap_or(clock),
            since: Instant::now(),
        })
    }

    /// Purges expired rows every `period`, until `stop`. The first purge is after one period.
    pub async fn keep_purging(
        &self,
        witnessed: Witnessed,
        retention: Retention,
        period: Duration,
        stop: CancellationToken,
    ) {
        let mut is_reported = false;
        let mut walks = Walks::default();
        while tokio::time::timeout(period, stop.cancelled())
            .await
            .is_err()
        {
            let clock = match self.agreed_time().await {
                Ok(Some(clock)) => clock,
                Ok(None) => continue,
                Err(error) => {
                    warn(&error);
                    continue;
                }
            };
            let now = witnessed.now(clock);
            if !is_reported && clock - now > REPORTED_GAP {
                is_reported = true;
                tracing::warn!(
                    clock.ahead_days = (clock - now).whole_days(),
                    "the last write before this start is long ago, or the clock is wrong: history is kept longer by this gap"
                );
            }
            walks.renew();
            // Errors are logged; the next purge retries.
            let _ = self
                .purge_until(retention, (clock, now), &mut walks, &stop)
                .await;
        }
    }

    /// Returns the time, if the clocks of node and database agree.
    async fn agreed_time(&self) -> Result<Option<OffsetDateTime>, Error> {
        let reading = self.db.in_time(self.db.skew.ask(&self.db.fresh)).await?;
        if reading.is_off() {
            tracing::warn!(
                clock.ahead_seconds = reading.ahead.as_seconds_f64(),
                "nothing is purged while this machine's clock and the database's differ"
            );
            return Ok(None);
        }
        Ok(Some(reading.now))
    }

    /// Purges all rows that have expired by the database's clock. Rows that cannot be purged now are left for the next
    /// purge.
    ///
    /// # Errors
    /// The last error. All are logged.
    pub async fn purge(&self, retention: Retention) -> Result<(), Error> {
        let now = self.db.in_time(self.db.skew.ask(&self.db.fresh)).await?.now;
        let stop = CancellationToken::new();
        self.purge_until(retention, (now, now), &mut Walks::default(), &stop)
            .await
    }

    /// Purges rows older than `retention` at `now`, and tickets that have expired by `clock`.
    async fn purge_until(
        &self,
        retention: Retention,
        (clock, now): (OffsetDateTime, OffsetDateTime),
        walks: &mut Walks,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let history = ago(now, retention.history);
        let mut outcome = Ok(());
        for (rows, before) in [
            (TICKETS, clock),
            (RECEIPTS, ago(now, retention.receipts)),
            (USAGE, history),
            (TOMBSTONES, history),
            (UNDONE_REMOVALS, history),
            (LABEL_REMOVALS, history),
            (FIELD_CHANGES, history),
            // Last, because a write names the device that made the changes above.
            (WRITES, history),
        ] {
            let purged = self
                .purge_rows(rows, unix_time::millis(before), walks, stop)
                .await;
            outcome = purged.and(outcome);
        }
        let purged = self.purge_erased(unix_time::millis(history)).await;
        purged.inspect_err(warn).and(outcome)
    }

    /// Deletes the rows older than `before`, in steps.
    async fn purge_rows(
        &self,
        rows: Rows,
        before: i64,
        walks: &mut Walks,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let (mut walk, mut outcome) = (walks.of(rows), Ok(()));
        while !stop.is_cancelled() {
            let span = Span {
                from: walk.from,
                before,
            };
            let purge = purge_step(self.db.write.clone(), rows, span, None);
            let done = match self.write_apart(purge).await {
                Ok(done) => done,
                Err(error) => {
                    warn(&error);
                    walk.leave();
                    let is_transient = matches!(error, Error::Unavailable(_));
                    outcome = Err(error);
                    if is_transient || !rows.is_history {
                        break;
                    }
                    // One user's rows must not block the others'.
                    self.purge_user_by_user(rows, span, stop).await?
                }
            };
            if rows.is_history {
                counter!("library_sync_history_rows_purged_total", "reason" => "age")
                    .increment(done.purged);
            }
            // Rows that a step skipped are left for the next purge.
            if !walk.pass(done) {
                break;
            }
        }
        walks.end(rows, walk);
        outcome
    }

    /// Purges the rows of one step, separately for each user.
    async fn purge_user_by_user(
        &self,
        rows: Rows,
        span: Span,
        stop: &CancellationToken,
    ) -> Result<Step, Error> {
        let db = &self.db.fresh;
        let backend = db.get_database_backend();
        let sql = format!(
            "SELECT user_id, max(at) AS at FROM ({}) AS page GROUP BY user_id",
            page(backend, rows, None)
        );
        let select = Statement::from_sql_and_values(backend, sql, span.values());
        let mut all = Step {
            // More rows may follow.
            found: BATCH,
            ..Step::default()
        };
        for row in self.db.in_time(db.query_all_raw(select)).await? {
            let user = UserId::new(&row.try_get::<String>("", "user_id")?).map_err(Error::fault)?;
            let last: i64 = row.try_get("", "at")?;
            all.newest = all.newest.max(Some(last));
            let span = Span {
                before: last + 1,
                ..span
            };
            while !stop.is_cancelled() {
                let purge = purge_step(self.db.write.clone(), rows, span, Some(user.clone()));
                match self.write_apart(purge).await {
                    Ok(done) => {
                        all.purged += done.purged;
                        if done.is_last() || done.purged == 0 {
                            break;
                        }
                    }
                    Err(error) => {
                        warn(&error);
                        break;
                    }
                }
            }
        }
        Ok(all)
    }
}

/// Returns `now` minus `duration`, at least the Unix epoch.
fn ago(now: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
    let ago = now.checked_sub(duration);
    ago.map_or(OffsetDateTime::UNIX_EPOCH, |ago| {
        Ord::max(ago, OffsetDateTime::UNIX_EPOCH)
    })
}

fn warn(error: &Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "cannot purge old history"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ahead_purges_nothing_early() {
        let newest = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let witnessed = Witnessed {
            newest,
            since: Instant::now(),
        };
        let year = time::Duration::days(365);
        assert!(witnessed.now(newest + year) - newest < time::Duration::HOUR);
        assert_eq!(
            witnessed.now(newest - year),
            newest - year,
            "a clock that is behind counts"
        );
    }
}
