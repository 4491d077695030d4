//! The time of measurements: this node's clock, corrected to the database's, so that times of several nodes compare.

use std::sync::atomic::{AtomicI64, Ordering};

use time::{Duration, OffsetDateTime};

/// How far this node's clock is ahead of the database's, in microseconds.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// Sets how far this node's clock is ahead of the database's.
pub fn set_clock_ahead(ahead: Duration) {
    let micros = i64::try_from(ahead.whole_microseconds()).unwrap_or_default();
    AHEAD.store(micros, Ordering::Relaxed);
}

/// Returns the time by the database's clock.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::microseconds(AHEAD.load(Ordering::Relaxed))
}
