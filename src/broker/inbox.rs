//! What comes in from the server: bytes of a notice to a signal for the listener.
//!
//! A notice is JSON, `{"user":"ann","epoch":1700000000000,"version":42}`. Fields that are unknown here are skipped, so
//! that a newer node may say more.
//!
//! **Invariant:** bytes that are no notice are dropped and counted; they stop nothing.

use std::{borrow::Cow, sync::OnceLock};

use metrics::counter;
use serde::{Deserialize, Serialize};

use super::notice::{Listener, Notice, Signal};
use crate::version::{Epoch, Head, UserId, Version};

/// The longest notice, in bytes: the longest user, every byte of it escaped, and room for fields to come.
const LONGEST: usize = 2048;

/// The latest epoch that a notice may name, in milliseconds since the Unix epoch: the end of the year 9999. A head that
/// is believed and never reached would begin epoch after epoch.
const LATEST: i64 = 253_402_300_799_999;

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    epoch: Epoch,
    version: Version,
}

/// A notice as it is sent.
#[expect(clippy::expect_used, reason = "text and numbers are JSON")]
pub(super) fn encode(notice: &Notice) -> String {
    let wire = Wire {
        user: Cow::Borrowed(notice.user.as_str()),
        epoch: notice.head.epoch,
        version: notice.head.version,
    };
    serde_json::to_string(&wire).expect("a notice is JSON")
}

/// A notice as it was received, or why it is none.
fn decode(bytes: &[u8]) -> Result<Notice, &'static str> {
    if bytes.len() > LONGEST {
        return Err("too_long");
    }
    let wire: Wire = serde_json::from_slice(bytes).map_err(|_| "malformed")?;
    if wire.version < Version::FIRST || !(0..=LATEST).contains(&wire.epoch.number()) {
        return Err("malformed");
    }
    Ok(Notice {
        user: UserId::new(&wire.user).map_err(|_| "malformed")?,
        head: Head {
            epoch: wire.epoch,
            version: wire.version,
        },
    })
}

/// The way to the listener.
pub(super) struct Inbox {
    /// The `broker` of metrics and logs.
    pub broker: &'static str,
    /// Of a hundred notices, how many to drop.
    lose: u8,
    listener: OnceLock<Listener>,
}

impl Inbox {
    /// One that nobody listens at yet.
    pub fn new(broker: &'static str, lose: u8) -> Self {
        Self {
            broker,
            lose,
            listener: OnceLock::new(),
        }
    }

    /// Names the listener; tells whether it is the first. A second would split the node; the first stays.
    pub fn listen(&self, listener: Listener) -> bool {
        self.listener.set(listener).is_ok()
    }

    /// Tells the listener.
    pub fn tell(&self, signal: Signal) {
        if let Some(listener) = self.listener.get() {
            listener(signal);
        }
    }

    /// Takes what a server sent.
    pub fn receive(&self, bytes: &[u8]) {
        counter!("library_sync_broker_notices_received_total", "broker" => self.broker)
            .increment(1);
        if fastrand::u8(..100) < self.lose {
            return self.count_dropped("lost_on_purpose");
        }
        match decode(bytes) {
            Ok(notice) => self.tell(Signal::Notice(notice)),
            Err(reason) => self.count_dropped(reason),
        }
    }

    /// Counts a notice that goes no further.
    pub fn count_dropped(&self, reason: &'static str) {
        counter!("library_sync_broker_notices_dropped_total", "broker" => self.broker, "reason" => reason)
            .increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(user: &str) -> Notice {
        Notice {
            user: UserId::new(user).unwrap(),
            head: Head {
                epoch: Epoch::new(1_700_000_000_000),
                version: Version::new(42),
            },
        }
    }

    #[test]
    fn a_notice_reads_back_whatever_the_user_is_called() {
        let longest = "\"".repeat(UserId::MAX_BYTES);
        for user in ["ann", "a b", "*.>", "{x}", "\"\\", "é🙂", &longest] {
            let bytes = encode(&notice(user));
            assert!(bytes.len() < LONGEST);
            assert_eq!(decode(bytes.as_bytes()), Ok(notice(user)));
        }
        assert_eq!(
            encode(&notice("ann")),
            r#"{"user":"ann","epoch":1700000000000,"version":42}"#
        );
    }

    #[test]
    fn a_field_that_is_unknown_is_skipped() {
        let newer = r#"{"kinds":["STORY"],"user":"ann","version":42,"epoch":1700000000000,"x":{}}"#;
        assert_eq!(decode(newer.as_bytes()), Ok(notice("ann")));
    }

    #[test]
    fn what_is_no_notice_is_dropped() {
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
            assert_eq!(decode(text.as_bytes()), Err("malformed"), "{text}");
        }
        assert_eq!(decode(b"\xff"), Err("malformed"));
        assert_eq!(decode(&[b' '; LONGEST + 1]), Err("too_long"));
    }
}
