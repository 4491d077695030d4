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
    /// The message is too long: send it without its optional parts.
    TooLarge,
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
        let wait = || {
            let asked = retry_after.map(|wait| wait.clamp(Duration::from_secs(1), MAX_BACKOFF));
            asked.unwrap_or_else(|| backoff(failures, initial))
        };
        match status.as_u16() {
            200..300 => Self::Delivered,
            404 | 410 => Self::Gone,
            413 => Self::TooLarge,
            // Microsoft answers 406 to a sender that is too fast.
            406 | 429 => Self::Failed("throttled", wait()),
            503 => Self::Failed("unavailable", wait()),
            500.. => Self::Failed("unavailable", backoff(failures, initial)),
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
        assert_eq!(answer(413, None, 0), Answer::TooLarge);
        for (status, reason) in [(429, "throttled"), (406, "throttled"), (503, "unavailable")] {
            let wait = Duration::from_secs(77);
            assert_eq!(answer(status, Some(77), 9), Answer::Failed(reason, wait));
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
