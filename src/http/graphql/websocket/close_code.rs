//! Close codes of a socket.
//!
//! | code | reason | graphql-ws reconnects |
//! |---|---|---|
//! | 4400 | invalid message | no |
//! | 4401 | `subscribe` before `connection_ack` | no |
//! | 4403 | the token is missing, invalid or signed out | yes, with a fresh token if it has one |
//! | 4406 | the client does not offer `graphql-transport-ws` | no |
//! | 4408 | no `connection_init` in time | yes |
//! | 4409 | an operation with this id is running | no |
//! | 4429 | a second `connection_init` | no |
//! | 4440 | the token has expired | yes, with a fresh token |
//! | 4499 | the client is silent | yes |
//! | 1001 | the socket has reached its maximum lifetime, or the user has ended it | yes |
//! | 1009 | a message over the limit, which is lower before `connection_ack` | no |
//! | 1012 | the server is stopping | yes |
//! | 1013 | the database or the key server does not answer; too many streams, pending sockets or requests | yes |
//!
//! A close by the client is answered with its own code.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::{Utf8Bytes, protocol::CloseFrame};

use super::message::Id;
use crate::{
    auth::Rejection,
    http::{
        error::HttpError,
        streams::{end_reason::EndReason, registry::StreamRefused},
    },
    library,
    version::UserId,
};

/// Maximum reason in a close frame, beside the code (RFC 6455, section 5.5).
const MAX_REASON_BYTES: usize = 123;

/// Why a socket is closed.
#[derive(Debug)]
pub(super) enum Close {
    /// The connection broke.
    Gone,
    /// The client has sent a close frame, which must be answered.
    Left,
    /// An invalid message.
    Invalid(Cow<'static, str>),
    /// An operation before `connection_ack`.
    Unacknowledged,
    /// Not authenticated, or no permit for another stream.
    Refused(HttpError),
    /// Another subprotocol, or none.
    Subprotocol,
    /// `connection_init` did not come in time.
    InitTimeout,
    /// Too many sockets are pending, and this is the oldest.
    Displaced,
    /// A second `connection_init`.
    InitTwice,
    /// A second operation with the id of a running one.
    Duplicate(Id),
    /// A message over the limit.
    TooBig,
    /// The client has sent no frame for two and a half heartbeats.
    Silent,
    /// A subscription cannot begin, because the database does not answer. After an `error` message, graphql-ws would
    /// not subscribe again.
    Unavailable,
    /// The server ends the stream.
    End(EndReason),
}

impl Close {
    /// Returns the close frame; `None` when the client is gone or has closed first.
    pub fn frame(&self) -> Option<CloseFrame> {
        let (code, reason): (u16, Cow<'_, str>) = match self {
            Self::Gone | Self::Left => return None,
            Self::Invalid(what) => (4400, format!("Invalid message: {what}").into()),
            Self::Unacknowledged => (4401, "Unauthorized".into()),
            Self::Refused(error) => (refused(error), error.to_string().into()),
            Self::Subprotocol => (4406, "Subprotocol not acceptable".into()),
            Self::InitTimeout => (4408, "Connection initialisation timeout".into()),
            Self::Displaced => (
                1013,
                "Too many sockets without connection_init; retry".into(),
            ),
            Self::InitTwice => (4429, "Too many initialisation requests".into()),
            Self::Duplicate(id) => {
                let id = id.as_str();
                (4409, format!("Subscriber for {id} already exists").into())
            }
            Self::TooBig => (1009, "Message too big".into()),
            Self::Silent => (4499, "No frame from the client in time".into()),
            Self::Unavailable => (1013, "The database does not answer; retry".into()),
            Self::End(reason) => (ended(*reason), reason.message().into()),
        };
        Some(CloseFrame {
            code: code.into(),
            reason: Utf8Bytes::from(truncated(&reason)),
        })
    }

    /// Returns the label `reason` of metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Gone | Self::Left => "gone",
            Self::Silent => "silent",
            Self::Unavailable => "unavailable",
            Self::End(reason) => reason.into(),
            _ => "violation",
        }
    }
}

fn refused(error: &HttpError) -> u16 {
    match error {
        HttpError::StreamRefused(StreamRefused::Draining(_)) => 1012,
        // Dead streams of a device that lost its network are closed soon, so a retry can succeed.
        HttpError::StreamRefused(StreamRefused::User(_) | StreamRefused::Node)
        | HttpError::RateLimited(_)
        | HttpError::Library(library::Error::Unavailable(_) | library::Error::Fault(_)) => 1013,
        HttpError::Rejected(rejection) if rejection.is_temporary() => 1013,
        HttpError::Rejected(Rejection::Expired) => ended(EndReason::Expired),
        _ => 4403,
    }
}

fn ended(reason: EndReason) -> u16 {
    match reason {
        EndReason::Expired => 4440,
        EndReason::SignedOut => 4403,
        EndReason::TooOld | EndReason::Ended => 1001,
        EndReason::Drained => 1012,
    }
}

impl Close {
    /// Refuses a socket of `user`, if that is known, and logs a fault.
    pub fn refused(error: HttpError, user: Option<&UserId>) -> Self {
        if let Some(fault) = error.fault() {
            fault.log(user);
        }
        Self::Refused(error)
    }
}

impl From<HttpError> for Close {
    fn from(error: HttpError) -> Self {
        Self::refused(error, None)
    }
}

/// Truncates a reason to the length of a close frame.
fn truncated(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{auth::Rejection, http::rate_limiter::RateLimited};

    #[test]
    fn a_reason_fits_into_a_close_frame_for_any_id() {
        for id in ["é", "x", "語", "🦀"] {
            let id = Id::try_from(id.repeat(256 / id.len())).unwrap();
            let frame = Close::Duplicate(id).frame().unwrap();
            assert_eq!(u16::from(frame.code), 4409);
            assert!((120..=MAX_REASON_BYTES).contains(&frame.reason.as_str().len()));
        }
    }

    /// The codes after which graphql-ws does not reconnect (`isFatalInternalCloseCode` and `shouldRetryConnectOrThrow` in its
    /// client).
    fn is_fatal(code: u16) -> bool {
        match code {
            1000 | 1001 | 1005 | 1006 | 1012 | 1013 | 1014 => false,
            1000..2000 => true,
            _ => [4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500].contains(&code),
        }
    }

    #[test]
    fn graphql_ws_reconnects_after_every_close_that_is_not_a_violation() {
        let code = |close: Close| u16::from(close.frame().unwrap().code);
        for close in [
            Close::InitTimeout,
            Close::Displaced,
            Close::Silent,
            Close::Unavailable,
            Close::End(EndReason::Expired),
            Close::End(EndReason::TooOld),
            Close::End(EndReason::Drained),
            Close::Refused(HttpError::NoToken),
            Close::Refused(Rejection::Expired.into()),
            Close::Refused(Rejection::Unavailable.into()),
            Close::Refused(Rejection::UnknownKey(30).into()),
            Close::Refused(StreamRefused::Draining(1).into()),
            Close::Refused(StreamRefused::Node.into()),
            Close::Refused(StreamRefused::User(20).into()),
            Close::Refused(RateLimited(Duration::from_secs(1)).into()),
        ] {
            let why = format!("{close:?}");
            assert!(!is_fatal(code(close)), "{why}");
        }
        for temporary in [Rejection::Unavailable, Rejection::UnknownKey(30)] {
            assert_eq!(
                code(Close::Refused(temporary.into())),
                1013,
                "the token can be valid"
            );
        }
        assert!(is_fatal(code(Close::InitTwice)));
    }
}
