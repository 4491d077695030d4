//! What the answer of a push service means for an endpoint.

use std::time::Duration;

use reqwest::StatusCode;

use super::{
    client::Response,
    limits::{MAX_BACKOFF, REFUSED_BACKOFF},
};

/// What to do after an attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The push service accepted the message.
    Delivered,
    /// The subscription has ended: remove the endpoint.
    Gone,
    /// The message is too long: send it without its optional parts, or again after a time.
    TooLarge(Duration),
    /// Send again after a time. The reason is a label of metrics.
    Failed(&'static str, Duration),
}

impl Answer {
    /// Interprets a response. `failures` is the number of earlier failures, and `initial` the first backoff.
    pub fn of(response: Response, failures: u32, initial: Duration) -> Self {
        let (status, retry_after) = match response {
            Response::Status(status, retry_after) => (status, retry_after),
            Response::Private => return Self::Failed("private_address", jittered(REFUSED_BACKOFF)),
            Response::Unreachable => {
                return Self::Failed("unreachable", backoff(failures, initial));
            }
        };
        let wait = backoff(failures, initial);
        match status.as_u16() {
            200..300 => Self::Delivered,
            404 | 410 => Self::Gone,
            413 => Self::TooLarge(wait),
            // Microsoft answers 406 to a sender that is too fast.
            406 | 429 => Self::Failed("throttled", longer(wait, retry_after, MAX_BACKOFF)),
            503 => Self::Failed("unavailable", longer(wait, retry_after, MAX_BACKOFF)),
            500.. => Self::Failed("unavailable", wait),
            // Redirects included: they are not followed.
            _ => Self::Failed("refused", jittered(REFUSED_BACKOFF)),
        }
    }
}

/// Returns whether a status means that this server's settings or messages are at fault.
pub(super) fn is_own_fault(response: Response) -> Option<StatusCode> {
    match response {
        Response::Status(status, _) if matches!(status.as_u16(), 400 | 401 | 403) => Some(status),
        _ => None,
    }
}

/// Exponential backoff with jitter, up to [`MAX_BACKOFF`].
pub(super) fn backoff(failures: u32, initial: Duration) -> Duration {
    let doubled = initial.saturating_mul(2_u32.saturating_pow(failures.min(20)));
    jittered(doubled.min(MAX_BACKOFF))
}

/// Returns the time that a server asks to wait, but at least the backoff, and at most `most`. So `Retry-After: 0` does not
/// cause a request each second.
pub(super) fn longer(backoff: Duration, asked: Option<Duration>, most: Duration) -> Duration {
    backoff.max(asked.unwrap_or_default()).min(most)
}

/// Returns 75% to 100% of a duration, so that retries do not coincide.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.75 + 0.25 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_secs(30);
    const DAY: Duration = Duration::from_hours(24);

    fn answer(status: u16, retry_after: Option<u64>, failures: u32) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        let retry_after = retry_after.map(Duration::from_secs);
        Answer::of(Response::Status(status, retry_after), failures, INITIAL)
    }

    #[test]
    fn each_answer_of_a_push_service_has_its_meaning() {
        for status in [200, 201, 202, 204] {
            assert_eq!(answer(status, None, 0), Answer::Delivered, "{status}");
        }
        for status in [404, 410] {
            assert_eq!(answer(status, None, 0), Answer::Gone, "{status}");
        }
        for (status, reason) in [(429, "throttled"), (406, "throttled"), (503, "unavailable")] {
            let wait = Duration::from_secs(77);
            assert_eq!(answer(status, Some(77), 1), Answer::Failed(reason, wait));
            let Answer::Failed(_, wait) = answer(status, Some(u64::MAX), 0) else {
                panic!("{status}");
            };
            assert_eq!(wait, DAY);
        }
        for status in [400, 401, 403, 307, 405] {
            let Answer::Failed("refused", wait) = answer(status, Some(1), 9) else {
                panic!("{status}");
            };
            assert!((REFUSED_BACKOFF.mul_f64(0.74)..=REFUSED_BACKOFF).contains(&wait));
        }
    }

    #[test]
    fn a_server_that_asks_to_wait_less_than_the_backoff_waits_the_backoff() {
        for (status, asked) in [(429, Some(0)), (406, Some(1)), (503, Some(0)), (413, None)] {
            for (failures, most) in [(0, INITIAL), (3, 8 * INITIAL), (30, DAY)] {
                let (Answer::Failed(_, wait) | Answer::TooLarge(wait)) =
                    answer(status, asked, failures)
                else {
                    panic!("{status}");
                };
                let expected = most.mul_f64(0.74)..=most;
                assert!(expected.contains(&wait), "{status}, {failures}: {wait:?}");
            }
        }
    }

    #[test]
    fn backoff_doubles_with_jitter_up_to_a_day() {
        for (failures, most) in [(0, INITIAL), (1, 2 * INITIAL), (3, 8 * INITIAL), (30, DAY)] {
            for wait in [backoff(failures, INITIAL), backoff(failures, INITIAL)] {
                assert!(
                    (most.mul_f64(0.74)..=most).contains(&wait),
                    "{failures}: {wait:?}"
                );
            }
        }
        let waits: std::collections::HashSet<_> = (0..20).map(|_| backoff(1, INITIAL)).collect();
        assert!(waits.len() > 10);
        let Answer::Failed("unavailable", wait) = answer(500, Some(7), 2) else {
            panic!("500");
        };
        assert!(wait > 2 * INITIAL);
    }
}
