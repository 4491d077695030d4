//! The inbox: decodes received notices and delivers them to the listener.
//!
//! A notice is JSON: `{"user":"ann","epoch":1700000000000,"version":42}`, with `"recheck":true` if nodes must re-read the
//! user's row, `at`, the time of the commit in microseconds since the Unix epoch, and `trace`, its position in a trace.
//! Unknown fields are ignored, so that a newer node can add fields.
//!
//! **Invariant:** an invalid notice is dropped and counted, and has no other effect.

use std::{borrow::Cow, sync::OnceLock};

use metrics::counter;
use serde::{Deserialize, Serialize};

use time::OffsetDateTime;

use super::notice::{Commit, Listener, Notice, Signal};
use crate::{
    trace::TraceParent,
    version::{Epoch, Head, UserId, Version},
};

/// Maximum size of a notice, in bytes: the longest user id with every byte escaped, and space for future fields.
const LONGEST: usize = 2048;

/// Latest valid epoch, in milliseconds since the Unix epoch: the end of the year 9999. An accepted epoch in the far future
/// would make every re-read head begin a new epoch.
const LATEST: i64 = 253_402_300_799_999;

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    epoch: Epoch,
    version: Version,
    #[serde(
        default,
        rename = "recheck",
        skip_serializing_if = "std::ops::Not::not"
    )]
    is_recheck: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    trace: Option<Cow<'a, str>>,
}

/// Encodes a notice.
#[expect(clippy::expect_used, reason = "text and numbers are always valid JSON")]
pub(super) fn encode(notice: &Notice) -> String {
    let wire = Wire {
        user: Cow::Borrowed(notice.user.as_str()),
        epoch: notice.head.epoch,
        version: notice.head.version,
        is_recheck: notice.is_recheck,
        at: notice.commit.map(|commit| micros(commit.at)),
        trace: notice
            .commit
            .and_then(|commit| Some(Cow::Owned(commit.trace?.to_string()))),
    };
    serde_json::to_string(&wire).expect("a notice is valid JSON")
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

/// Decodes a notice that `broker` carried. The error is the `reason` of the metric.
fn decode(bytes: &[u8], broker: &'static str) -> Result<Notice, &'static str> {
    if bytes.len() > LONGEST {
        return Err("too_long");
    }
    let wire: Wire = serde_json::from_slice(bytes).map_err(|_| "malformed")?;
    if wire.version < Version::FIRST || !(0..=LATEST).contains(&wire.epoch.number()) {
        return Err("malformed");
    }
    let at = wire.at.and_then(|micros| {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()
    });
    let trace = wire.trace.as_deref().and_then(TraceParent::parse);
    Ok(Notice {
        commit: at.map(|at| Commit { at, trace, broker }),
        user: UserId::new(&wire.user).map_err(|_| "malformed")?,
        head: Head {
            epoch: wire.epoch,
            version: wire.version,
        },
        is_recheck: wire.is_recheck,
    })
}

/// Delivers signals to the listener.
pub(super) struct Inbox {
    /// The label `broker` of metrics and logs.
    pub broker: &'static str,
    /// Percentage of notices to drop.
    lose: u8,
    listener: OnceLock<Listener>,
}

impl Inbox {
    /// Creates an inbox without a listener.
    pub fn new(broker: &'static str, lose: u8) -> Self {
        Self {
            broker,
            lose,
            listener: OnceLock::new(),
        }
    }

    /// Sets the listener. Returns false if there is one already, which stays.
    pub fn listen(&self, listener: Listener) -> bool {
        self.listener.set(listener).is_ok()
    }

    /// Delivers a signal to the listener.
    pub fn deliver(&self, signal: Signal) {
        if let Some(listener) = self.listener.get() {
            listener(signal);
        }
    }

    /// Decodes and delivers the bytes of a notice.
    pub fn receive(&self, bytes: &[u8]) {
        counter!("library_sync_broker_notices_received_total", "broker" => self.broker)
            .increment(1);
        if fastrand::u8(..100) < self.lose {
            return self.count_dropped("lost_on_purpose");
        }
        match decode(bytes, self.broker) {
            Ok(notice) => self.deliver(Signal::Notice(notice)),
            Err(reason) => self.count_dropped(reason),
        }
    }

    /// Counts a dropped notice.
    pub fn count_dropped(&self, reason: &'static str) {
        counter!("library_sync_broker_notices_dropped_total", "broker" => self.broker, "reason" => reason)
            .increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(user: &str) -> Notice {
        let head = Head {
            epoch: Epoch::new(1_700_000_000_000),
            version: Version::new(42),
        };
        Notice::new(UserId::new(user).unwrap(), head)
    }

    #[test]
    fn a_recheck_is_a_field_of_its_own() {
        let recheck = Notice {
            is_recheck: true,
            ..notice("ann")
        };
        let text = encode(&recheck);
        assert!(text.ends_with(r#","recheck":true}"#), "{text}");
        assert_eq!(decode(text.as_bytes(), "nats"), Ok(recheck));
    }

    #[test]
    fn a_notice_round_trips_for_every_user_id() {
        let longest = "\"".repeat(UserId::MAX_BYTES);
        for user in ["ann", "a b", "*.>", "{x}", "\"\\", "é🙂", &longest] {
            let bytes = encode(&notice(user));
            assert!(bytes.len() < LONGEST);
            assert_eq!(decode(bytes.as_bytes(), "nats"), Ok(notice(user)));
        }
        assert_eq!(
            encode(&notice("ann")),
            r#"{"user":"ann","epoch":1700000000000,"version":42}"#
        );
    }

    #[test]
    fn a_commit_travels_with_its_notice() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b1902c7-01";
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap();
        let sent = Notice {
            commit: Some(Commit {
                at,
                trace: TraceParent::parse(trace),
                broker: "local",
            }),
            ..notice("ann")
        };
        let bytes = encode(&sent);
        assert!(
            bytes.contains(r#""at":1700000000123456"#) && bytes.contains(trace),
            "{bytes}"
        );
        let received = decode(bytes.as_bytes(), "nats").unwrap().commit.unwrap();
        assert_eq!((received.at, received.broker), (at, "nats"));
        assert_eq!(received.trace, TraceParent::parse(trace));
    }

    #[test]
    fn an_unknown_field_is_ignored() {
        let newer = r#"{"kinds":["STORY"],"user":"ann","version":42,"epoch":1700000000000,"x":{}}"#;
        assert_eq!(decode(newer.as_bytes(), "nats"), Ok(notice("ann")));
    }

    #[test]
    fn an_invalid_notice_is_dropped() {
        let malformed = [
            "",
            "x",
            "null",
            "[]",
            "{}",
            r#"{"user":"ann","epoch":1}"#,
            r#"{"user":"","epoch":1,"version":2}"#,
            r#"{"user":"a\nb","epoch":1,"version":2}"#,
            r#"{"user":"ann","epoch":1,"version":3000000000}"#,
            r#"{"user":"ann","epoch":1,"version":0}"#,
            r#"{"user":"ann","epoch":-1,"version":2}"#,
            r#"{"user":"ann","epoch":253402300800000,"version":2}"#,
            r#"{"user":"ann","epoch":1,"version":2} "#.trim_end_matches("} "),
        ];
        for text in malformed {
            assert_eq!(decode(text.as_bytes(), "nats"), Err("malformed"), "{text}");
        }
        assert_eq!(decode(b"\xff", "nats"), Err("malformed"));
        assert_eq!(decode(&[b' '; LONGEST + 1], "nats"), Err("too_long"));
    }
}
