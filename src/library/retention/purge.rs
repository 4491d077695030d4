//! Forgetting: what is kept for clients that come back is kept for a time, and then purged in small steps.
//!
//! Steps go through each table from its oldest row on, and each begins where the last ended: what was deleted before is
//! not passed over again.
//!
//! **Invariant:** the floor is raised in the transaction that purges, over everything that it purges, so that no client
//! is answered from a history with a hole in it.
//! **Invariant:** a clock that is wrong purges nothing early: an age is counted up to the newest time in the database
//! when this process began and the time that it has run since, and only while this node's clock and the database's agree.
//! **Invariant:** a purge waits for no writer, and holds the rows of users for one statement.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait as _, Statement};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::purge_step::{Rows, Span, Step, page, purge_step};
use crate::{
    library::{database::clock, error::Error, handle::Library},
    version::UserId,
};

/// From which gap on between the clock and the newest time in the database the gap is reported.
const NOTEWORTHY: time::Duration = time::Duration::days(1);

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
const TOMBSTONES: Rows = Rows {
    table: "topaz_tombstone",
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

/// How long what a client may come back for is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Tombstones, what fields held, and which device made which change: how long a client may be away and still be
    /// brought up to date rather than start afresh.
    pub history: Duration,
    /// Receipts: how long a mutation may wait to be replayed.
    pub receipts: Duration,
}

/// The newest time that a database held when this process began: time that has passed, whatever a clock shows now.
#[derive(Debug, Clone, Copy)]
pub struct Witnessed {
    newest: OffsetDateTime,
    since: Instant,
}

impl Witnessed {
    /// The time up to which ages count, while a clock shows `clock`.
    fn now(self, clock: OffsetDateTime) -> OffsetDateTime {
        clock.min(self.newest + self.since.elapsed())
    }
}

impl Library {
    /// What time the database has witnessed; to be asked before this process writes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn witnessed(&self) -> Result<Witnessed, Error> {
        let db = &self.db.fresh;
        let clock = self.db.in_time(self.db.skew.ask(db)).await?.now;
        let newest = [RECEIPTS, WRITES, TOMBSTONES, LABEL_REMOVALS, FIELD_CHANGES]
            .map(|Rows { table, time, .. }| format!("SELECT max({time}) AS newest FROM {table}"))
            .join(" UNION ALL ");
        let sql = format!(
            "SELECT max(newest) AS {} FROM ({newest}) AS newest",
            clock::NOW
        );
        let select = Statement::from_string(db.get_database_backend(), sql);
        let row = self.db.in_time(db.query_one_raw(select)).await?;
        // An empty database has nothing that could be purged too early.
        let newest = row
            .map(|row| clock::find_in_row(&row))
            .transpose()?
            .flatten();
        Ok(Witnessed {
            newest: newest.unwrap_or(clock),
            since: Instant::now(),
        })
    }

    /// Purges what is too old every `period`, first when one has passed, until `stop`.
    pub async fn keep_purging(
        &self,
        witnessed: Witnessed,
        retention: Retention,
        period: Duration,
        stop: CancellationToken,
    ) {
        let mut is_reported = false;
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
            if !is_reported && clock - now > NOTEWORTHY {
                is_reported = true;
                tracing::warn!(
                    clock.ahead_days = (clock - now).whole_days(),
                    "nothing was written for long before this start, or the clock is wrong: history is kept longer by that"
                );
            }
            // What went wrong is logged, and left for the next time.
            let _ = self.purge_until(retention, clock, now, &stop).await;
        }
    }

    /// The time, if this node's clock and the database's agree on it.
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

    /// Purges everything that is too old by the database's clock, and the tickets that have lapsed. What cannot be
    /// purged now is left for the next time, and holds up nothing else.
    ///
    /// # Errors
    /// The last of what went wrong. All of it is logged.
    pub async fn purge(&self, retention: Retention) -> Result<(), Error> {
        let now = self.db.in_time(self.db.skew.ask(&self.db.fresh)).await?.now;
        self.purge_until(retention, now, now, &CancellationToken::new())
            .await
    }

    /// Purges what is older than `retention` at `now`, and tickets that have lapsed by `clock`.
    async fn purge_until(
        &self,
        retention: Retention,
        clock: OffsetDateTime,
        now: OffsetDateTime,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let history = ago(now, retention.history);
        let mut outcome = Ok(());
        for (rows, before) in [
            (TICKETS, clock),
            (RECEIPTS, ago(now, retention.receipts)),
            (TOMBSTONES, history),
            (LABEL_REMOVALS, history),
            (FIELD_CHANGES, history),
            // Last, because a write names the device that made the changes above.
            (WRITES, history),
        ] {
            let purged = self.purge_rows(rows, millis(before)?, stop).await;
            outcome = purged.and(outcome);
        }
        outcome
    }

    /// Deletes the rows whose time is before `before`, a step at a time.
    async fn purge_rows(
        &self,
        rows: Rows,
        before: i64,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let (mut from, mut outcome) = (i64::MIN, Ok(()));
        while !stop.is_cancelled() {
            let span = Span { from, before };
            let purge = purge_step(self.db.write.clone(), rows, span, None);
            let done = match self.write_apart(purge).await {
                Ok(done) if done.is_last() => break,
                Ok(done) => done,
                Err(error) => {
                    warn(&error);
                    let is_passing = matches!(error, Error::Unavailable(_));
                    outcome = Err(error);
                    if is_passing || !rows.is_history {
                        break;
                    }
                    // One user's rows hold up no other's.
                    self.purge_user_by_user(rows, span, stop).await?
                }
            };
            // What a step left is not tried again before the next time.
            match done.newest {
                Some(newest) if newest > from || done.purged > 0 => from = newest,
                _ => break,
            }
        }
        outcome
    }

    /// Purges the rows of one step, each user's apart.
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
        let mut all = Step::default();
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

/// The time so long before `now`; the beginning of time when it would be before that.
fn ago(now: OffsetDateTime, duration: Duration) -> OffsetDateTime {
    let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
    let ago = now.checked_sub(duration);
    ago.map_or(OffsetDateTime::UNIX_EPOCH, |ago| {
        Ord::max(ago, OffsetDateTime::UNIX_EPOCH)
    })
}

fn millis(at: OffsetDateTime) -> Result<i64, Error> {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(Error::fault)
}

fn warn(error: &Error) {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "old history could not be purged"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_ages_nothing() {
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
            "nor is a clock that is behind"
        );
    }
}
