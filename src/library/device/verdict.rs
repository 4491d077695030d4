//! [`Verdict`]: why a device is not up to date, from a closed list of causes.
//!
//! **Invariant:** a device that works is never given a verdict that asks somebody to act: what passes by itself counts only
//! after [`Circumstances::grace`].

use strum::{EnumString, IntoStaticStr};

use crate::version::{Head, Version};

/// Maximum difference between the clocks of a device and the server, in milliseconds.
pub(super) const MAX_CLOCK_SKEW: i64 = 120_000;

/// Why a device is not up to date. One for each device: of several causes, the first of this list that has to be removed
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Its screen reflects the current head.
    UpToDate,
    /// It is behind and has an open stream, so it is about to load.
    BehindConnected,
    /// It is behind and has no open stream.
    Asleep,
    /// The oldest change in its outbox is not sent, although the device makes requests.
    OutboxStuck,
    /// Its token has ended, and it has not returned with a new one.
    TokenEnded,
    /// Its copy is of another epoch.
    OtherEpoch,
    /// Its copy is older than the history that is kept.
    BelowFloor,
    /// Its stream is open and does not reach it.
    StreamBuffered,
    /// Its push endpoint no longer exists, and it has no open stream.
    PushEndpointGone,
    /// Its client is older than the oldest supported version.
    ClientTooOld,
    /// Its clock differs from the server's.
    ClockOff,
    /// It has not reported what its screen reflects.
    NeverSeen,
}

impl Verdict {
    /// Returns what the verdict means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::UpToDate => "the screen reflects the current version",
            Self::BehindConnected => "behind, with an open stream: it is about to load",
            Self::Asleep => "behind, and not connected",
            Self::OutboxStuck => "changes wait in its outbox and are not sent",
            Self::TokenEnded => "its token has ended or was signed out, and it has no new one",
            Self::OtherEpoch => "its copy is of another epoch",
            Self::BelowFloor => "its copy is older than the history that is kept",
            Self::StreamBuffered => "its stream is open, but events do not reach it",
            Self::PushEndpointGone => "not connected, and its push endpoint no longer exists",
            Self::ClientTooOld => "its client is older than --min-client",
            Self::ClockOff => "its clock is wrong by more than 2 minutes",
            Self::NeverSeen => "it has never reported what its screen reflects",
        }
    }

    /// Returns what to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::UpToDate => "nothing",
            Self::BehindConnected => "wait a moment; if it stays, reload the app on the device",
            Self::Asleep => "open the app on the device; it loads when it starts",
            Self::OutboxStuck => {
                "look up the error in docs/errors.md; fix or remove the oldest change on the device"
            }
            Self::TokenEnded => "sign in on the device",
            Self::OtherEpoch => {
                "open the app on the device, so that it drops its copy and loads all"
            }
            Self::BelowFloor => {
                "open the app on the device, so that it loads all; to avoid it, raise --keep-history"
            }
            Self::StreamBuffered => {
                "switch off response buffering in the proxy in front of the server"
            }
            Self::PushEndpointGone => "switch notifications off and on in the app on the device",
            Self::ClientTooOld => {
                "update the app on the device: close all its tabs and open it again"
            }
            Self::ClockOff => "set the clock of the device automatically",
            Self::NeverSeen => {
                "open the app on the device; if it is in use, let it send X-Library-Applied"
            }
        }
    }
}

/// What a verdict follows from. Times are in milliseconds since the Unix epoch by the database's clock; 0 means never.
#[derive(Debug, Clone, Default)]
pub(super) struct Circumstances {
    pub now: i64,
    /// How long a device may take, in milliseconds.
    pub grace: i64,
    pub head: Option<Head>,
    pub floor: Version,
    pub seen_at: i64,
    pub refused_at: i64,
    /// Whether the token was issued before the user signed out everywhere.
    pub is_signed_out: bool,
    pub applied: Option<Head>,
    pub applied_at: i64,
    /// When the first version was made that the device has not applied.
    pub fell_behind_at: i64,
    /// When the oldest of the open streams was opened.
    pub stream_opened_at: Option<i64>,
    pub has_pending: bool,
    pub pending_at: i64,
    pub pending_since: i64,
    pub clock_ahead: i64,
    pub is_client_too_old: bool,
    /// When the push service reported that the device's endpoint is gone; 0 if it has another one.
    pub endpoint_gone_at: i64,
}

impl Circumstances {
    /// Returns the verdict, and the time since which it holds, if that is known.
    pub fn judge(&self) -> (Verdict, Option<i64>) {
        let is_connected = self.stream_opened_at.is_some();
        let is_refused = self.refused_at > 0
            && self.refused_at >= self.seen_at
            && self.now - self.refused_at >= self.grace;
        let (verdict, since) = if !is_connected && (is_refused || self.is_signed_out) {
            (Verdict::TokenEnded, self.refused_at.max(self.seen_at))
        } else if self.is_client_too_old {
            (Verdict::ClientTooOld, 0)
        } else if self.clock_ahead.abs() > MAX_CLOCK_SKEW {
            (Verdict::ClockOff, 0)
        } else if self.has_pending && self.pending_at - self.pending_since >= self.grace {
            (Verdict::OutboxStuck, self.pending_since)
        } else {
            self.judge_copy(is_connected)
        };
        (verdict, Some(since).filter(|since| *since > 0))
    }

    /// Judges by what the device's screen reflects.
    fn judge_copy(&self, is_connected: bool) -> (Verdict, i64) {
        let (Some(applied), Some(head)) = (self.applied, self.head) else {
            return (Verdict::NeverSeen, 0);
        };
        let fell_behind = self.fell_behind_at;
        if applied.epoch != head.epoch || applied.version > head.version {
            (Verdict::OtherEpoch, 0)
        } else if applied == head {
            (Verdict::UpToDate, self.applied_at)
        } else if applied.version < self.floor {
            (Verdict::BelowFloor, fell_behind)
        } else if let Some(opened) = self.stream_opened_at {
            // The stream has sent the version long before this report.
            let sent_at = fell_behind.max(opened);
            if fell_behind > 0 && self.applied_at - sent_at >= self.grace {
                (Verdict::StreamBuffered, sent_at)
            } else {
                (Verdict::BehindConnected, fell_behind)
            }
        } else if self.endpoint_gone_at > 0 && !is_connected {
            (Verdict::PushEndpointGone, self.endpoint_gone_at)
        } else {
            (Verdict::Asleep, self.seen_at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::testing::head;

    const NOW: i64 = 1_000_000;

    fn healthy() -> Circumstances {
        Circumstances {
            now: NOW,
            grace: 30_000,
            head: Some(head(7, 41)),
            floor: Version::new(10),
            seen_at: NOW - 5,
            applied: Some(head(7, 41)),
            applied_at: NOW - 5,
            stream_opened_at: Some(NOW - 100_000),
            ..Circumstances::default()
        }
    }

    fn behind() -> Circumstances {
        Circumstances {
            applied: Some(head(7, 40)),
            fell_behind_at: NOW - 1_000,
            ..healthy()
        }
    }

    fn asleep() -> Circumstances {
        Circumstances {
            stream_opened_at: None,
            ..behind()
        }
    }

    #[test]
    fn each_cause_has_its_verdict() {
        for (circumstances, verdict) in [
            (healthy(), Verdict::UpToDate),
            (behind(), Verdict::BehindConnected),
            (asleep(), Verdict::Asleep),
            (
                Circumstances {
                    has_pending: true,
                    pending_at: NOW,
                    pending_since: NOW - 30_000,
                    ..healthy()
                },
                Verdict::OutboxStuck,
            ),
            (
                Circumstances {
                    refused_at: NOW - 30_000,
                    seen_at: NOW - 40_000,
                    ..asleep()
                },
                Verdict::TokenEnded,
            ),
            (
                Circumstances {
                    is_signed_out: true,
                    ..asleep()
                },
                Verdict::TokenEnded,
            ),
            (
                Circumstances {
                    applied: Some(head(6, 900)),
                    ..healthy()
                },
                Verdict::OtherEpoch,
            ),
            (
                Circumstances {
                    applied: Some(head(7, 9)),
                    ..behind()
                },
                Verdict::BelowFloor,
            ),
            (
                Circumstances {
                    fell_behind_at: NOW - 40_000,
                    ..behind()
                },
                Verdict::StreamBuffered,
            ),
            (
                Circumstances {
                    endpoint_gone_at: 1,
                    ..asleep()
                },
                Verdict::PushEndpointGone,
            ),
            (
                Circumstances {
                    is_client_too_old: true,
                    ..healthy()
                },
                Verdict::ClientTooOld,
            ),
            (
                Circumstances {
                    clock_ahead: -MAX_CLOCK_SKEW - 1,
                    ..healthy()
                },
                Verdict::ClockOff,
            ),
            (
                Circumstances {
                    applied: None,
                    ..healthy()
                },
                Verdict::NeverSeen,
            ),
        ] {
            assert_eq!(circumstances.judge().0, verdict, "{circumstances:?}");
        }
    }

    #[test]
    fn a_temporary_condition_is_not_reported_within_the_grace_period() {
        for circumstances in [
            // The token has just ended, or was renewed.
            Circumstances {
                refused_at: NOW - 29_999,
                seen_at: NOW - 40_000,
                ..healthy()
            },
            Circumstances {
                refused_at: NOW - 40_000,
                ..healthy()
            },
            // The outbox is being sent.
            Circumstances {
                has_pending: true,
                pending_at: NOW,
                pending_since: NOW - 29_999,
                ..healthy()
            },
            Circumstances {
                clock_ahead: MAX_CLOCK_SKEW,
                ..healthy()
            },
        ] {
            assert_eq!(circumstances.judge().0, Verdict::UpToDate);
        }
        for circumstances in [
            // The stream was opened a moment ago.
            Circumstances {
                fell_behind_at: NOW - 40_000,
                stream_opened_at: Some(NOW - 29_000),
                ..behind()
            },
            // No report since the version was made.
            Circumstances {
                fell_behind_at: NOW - 40_000,
                applied_at: NOW - 41_000,
                ..behind()
            },
        ] {
            assert_eq!(circumstances.judge().0, Verdict::BehindConnected);
        }
    }
}
