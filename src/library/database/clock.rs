//! The database's clock: the only clock by which nodes stamp times and judge expiry.
//!
//! In the flow: a statement that writes a time reads it in the same round trip. The skew of the node's own clock is
//! measured along the way and logged when it is too large.
//!
//! **Invariant:** no stored time, and no decision about one, comes from a node's own clock.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::gauge;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use time::{Duration, OffsetDateTime};

use crate::trace::set_clock_ahead;

/// Maximum difference between the clocks of node and database. Beyond it, the node logs an error and does not purge.
pub(in crate::library) const MAX_SKEW: Duration = Duration::seconds(2);

/// The column alias of [`sql`].
pub(in crate::library) const NOW: &str = "now_millis";

/// SQL for the database's current time in milliseconds since the Unix epoch: the time of the statement, after lock waits,
/// not of the transaction's begin.
pub(in crate::library) const fn sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS integer)",
        _ => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    }
}

/// Returns the time of a row that selects [`sql`] as [`NOW`].
pub(in crate::library) fn of_row(row: &QueryResult) -> Result<OffsetDateTime, DbErr> {
    find_in_row(row)?.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))
}

/// Like [`of_row`], for a nullable column.
pub(in crate::library) fn find_in_row(row: &QueryResult) -> Result<Option<OffsetDateTime>, DbErr> {
    let millis: Option<i64> = row.try_get("", NOW)?;
    let out_of_range = |error: time::error::ComponentRange| DbErr::Type(error.to_string());
    let time = |millis: i64| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map_err(out_of_range)
    };
    millis.map(time).transpose()
}

/// A reading of the database's clock.
#[derive(Debug, Clone, Copy)]
pub(in crate::library) struct Reading {
    /// The database's time.
    pub now: OffsetDateTime,
    /// How far this node's clock is ahead.
    pub ahead: Duration,
}

impl Reading {
    /// Returns whether the clocks differ by more than [`MAX_SKEW`].
    pub fn is_off(self) -> bool {
        self.ahead.abs() > MAX_SKEW
    }
}

/// The skew between the clocks of node and database, and whether it was logged.
#[derive(Debug, Default)]
pub(in crate::library) struct Skew {
    is_reported: AtomicBool,
}

impl Skew {
    /// Reads the database's time.
    pub async fn ask(&self, db: &impl ConnectionTrait) -> Result<Reading, DbErr> {
        let backend = db.get_database_backend();
        let select = Statement::from_string(backend, format!("SELECT {} AS {NOW}", sql(backend)));
        let asked = OffsetDateTime::now_utc();
        let row = db.query_one_raw(select).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?;
        Ok(self.observe(asked, of_row(&row)?))
    }

    /// Records the database's time `shown`, read at some moment after this node's time `asked`.
    pub fn observe(&self, asked: OffsetDateTime, shown: OffsetDateTime) -> Reading {
        let ahead = ahead(asked, shown, OffsetDateTime::now_utc());
        let reading = Reading { now: shown, ahead };
        set_clock_ahead(ahead);
        gauge!("library_sync_clock_skew_seconds").set(ahead.as_seconds_f64());
        let is_off = reading.is_off();
        if self.is_reported.swap(is_off, Ordering::Relaxed) != is_off {
            if is_off {
                tracing::error!(
                    clock.ahead_seconds = ahead.as_seconds_f64(),
                    "this machine's clock differs from the database's: run NTP on both; tokens are checked by this one"
                );
            } else {
                tracing::info!("this machine's clock agrees with the database's again");
            }
        }
        reading
    }
}

/// Returns how far a clock is ahead that read `asked` before and `answered` after another read `shown`. Latency between
/// the two is not skew.
fn ahead(asked: OffsetDateTime, shown: OffsetDateTime, answered: OffsetDateTime) -> Duration {
    // The database truncates to milliseconds.
    let latest = shown + Duration::milliseconds(1);
    if asked > latest {
        asked - latest
    } else if answered < shown {
        answered - shown
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_not_skew() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds);
        assert_eq!(ahead(at(10), at(10), at(10)), Duration::ZERO);
        assert_eq!(ahead(at(10), at(39), at(40)), Duration::ZERO);
        assert!(ahead(at(310), at(10), at(311)) > Duration::seconds(299));
        assert_eq!(ahead(at(10), at(310), at(11)), Duration::seconds(-299));
    }
}
