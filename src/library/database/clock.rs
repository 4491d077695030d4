//! The database's clock: the one clock by which all nodes stamp times and judge what has lapsed.
//!
//! In the flow: statements that write a time ask for it in the same round trip. What a node's own clock shows beside it
//! is measured on the way, and reported when it is off.
//!
//! **Invariant:** no time that is kept, and no decision about a kept time, comes from a node's own clock.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::gauge;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};
use time::{Duration, OffsetDateTime};

/// By how much a node's clock may differ from the database's before that is reported, and before this node purges
/// nothing.
pub(in crate::library) const MAX_SKEW: Duration = Duration::seconds(2);

/// The column that [`sql`] is read from.
pub(in crate::library) const NOW: &str = "now_millis";

/// The database's present time as SQL, in milliseconds since the Unix epoch: when the row is locked, not when the
/// transaction began.
pub(in crate::library) const fn sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS integer)",
        _ => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    }
}

/// The time in a row that selects [`sql`] as [`NOW`].
pub(in crate::library) fn of_row(row: &QueryResult) -> Result<OffsetDateTime, DbErr> {
    find_in_row(row)?.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))
}

/// The same where there may be no time.
pub(in crate::library) fn find_in_row(row: &QueryResult) -> Result<Option<OffsetDateTime>, DbErr> {
    let millis: Option<i64> = row.try_get("", NOW)?;
    let out_of_range = |error: time::error::ComponentRange| DbErr::Type(error.to_string());
    let time = |millis: i64| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map_err(out_of_range)
    };
    millis.map(time).transpose()
}

/// What the database's clock showed, beside this node's.
#[derive(Debug, Clone, Copy)]
pub(in crate::library) struct Reading {
    /// What it showed.
    pub now: OffsetDateTime,
    /// How far this node's is ahead.
    pub ahead: Duration,
}

impl Reading {
    /// Whether the two differ by more than [`MAX_SKEW`].
    pub fn is_off(self) -> bool {
        self.ahead.abs() > MAX_SKEW
    }
}

/// How far this node's clock is from the database's, and whether that was reported.
#[derive(Debug, Default)]
pub(in crate::library) struct Skew {
    is_reported: AtomicBool,
}

impl Skew {
    /// Asks the database for its time.
    pub async fn ask(&self, db: &impl ConnectionTrait) -> Result<Reading, DbErr> {
        let backend = db.get_database_backend();
        let select = Statement::from_string(backend, format!("SELECT {} AS {NOW}", sql(backend)));
        let asked = OffsetDateTime::now_utc();
        let row = db.query_one_raw(select).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?;
        Ok(self.observe(asked, of_row(&row)?))
    }

    /// Takes what the database's clock showed at some moment since this node's showed `asked`.
    pub fn observe(&self, asked: OffsetDateTime, shown: OffsetDateTime) -> Reading {
        let ahead = ahead(asked, shown, OffsetDateTime::now_utc());
        let reading = Reading { now: shown, ahead };
        gauge!("library_sync_clock_skew_seconds").set(ahead.as_seconds_f64());
        let is_off = reading.is_off();
        if self.is_reported.swap(is_off, Ordering::Relaxed) != is_off {
            if is_off {
                tracing::error!(
                    clock.ahead_seconds = ahead.as_seconds_f64(),
                    "this machine's clock differs from the database's: run NTP on both; tokens are judged by this one"
                );
            } else {
                tracing::info!("this machine's clock agrees with the database's again");
            }
        }
        reading
    }
}

/// By how much a clock is ahead that showed `asked` before and `answered` after another showed `shown`. A wait between
/// the two is no skew.
fn ahead(asked: OffsetDateTime, shown: OffsetDateTime, answered: OffsetDateTime) -> Duration {
    // Milliseconds are cut off from what the database shows.
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
    fn a_wait_is_no_skew() {
        let at = |seconds| OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds);
        assert_eq!(ahead(at(10), at(10), at(10)), Duration::ZERO);
        assert_eq!(ahead(at(10), at(39), at(40)), Duration::ZERO);
        assert!(ahead(at(310), at(10), at(311)) > Duration::seconds(299));
        assert_eq!(ahead(at(10), at(310), at(11)), Duration::seconds(-299));
    }
}
