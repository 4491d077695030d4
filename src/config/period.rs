//! Parser of intervals.

use std::time::Duration;

/// Parses a duration of at least 100 ms.
pub(super) fn parse_period(text: &str) -> Result<Duration, String> {
    let period = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if period < Duration::from_millis(100) {
        return Err("must be at least 100ms".to_owned());
    }
    Ok(period)
}
