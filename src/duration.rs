//! Parsers of durations in settings, before any flow. Each has a range that operating systems and databases accept.

use std::time::Duration;

/// Parses how long to wait, where 0 can have a meaning: at most 7 days, which are less than 2^31 ms, also three times.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    parse(text, "0s", "7days")
}

/// Parses an interval or a time limit that must not be 0: from 100 ms to 7 days.
pub(crate) fn parse_period(text: &str) -> Result<Duration, String> {
    parse(text, "100ms", "7days")
}

/// Parses a time that other nodes wait for this one: from 1 s to an hour.
pub(crate) fn parse_lease(text: &str) -> Result<Duration, String> {
    parse(text, "1s", "1h")
}

/// Parses how long something is kept or valid: at most 100 years.
pub(crate) fn parse_life(text: &str) -> Result<Duration, String> {
    parse(text, "0s", "36500days")
}

fn parse(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    let duration = |text| humantime::parse_duration(text).map_err(|error| error.to_string());
    let parsed = duration(text)?;
    if (duration(least)?..=duration(most)?).contains(&parsed) {
        Ok(parsed)
    } else {
        Err(format!("must be from {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_out_of_its_range_is_refused() {
        for (parse, within, out) in [
            (
                parse_wait as fn(&str) -> _,
                ["0s", "7days"],
                ["7days 1ns", "584542046090y"],
            ),
            (parse_period, ["100ms", "7days"], ["99ms", "7days 1ns"]),
            (parse_lease, ["1s", "1h"], ["999ms", "61m"]),
            (
                parse_life,
                ["0s", "36500days"],
                ["36500days 1ns", "584542046090y"],
            ),
        ] {
            for text in within {
                assert!(parse(text).is_ok(), "{text}");
            }
            for text in out {
                let error: String = parse(text).unwrap_err();
                assert!(error.starts_with("must be from "), "{text}: {error}");
            }
        }
        assert!(parse_wait("-1s").is_err());
    }
}
