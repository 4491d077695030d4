//! Times in milliseconds since the Unix epoch, as the database and the wire hold them.

use time::OffsetDateTime;

/// Returns a time in milliseconds since the Unix epoch.
#[must_use]
pub fn millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

/// Returns the time of milliseconds since the Unix epoch; `None` if it is out of range.
#[must_use]
pub fn time_of(millis: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()
}
