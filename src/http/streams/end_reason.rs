//! [`EndReason`]: why the server ends a stream, with its code and message.

/// Why the server ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum EndReason {
    /// The token has expired.
    Expired,
    /// The stream has reached its maximum lifetime.
    TooOld,
    /// The node is stopping.
    Drained,
    /// The user has signed out everywhere.
    SignedOut,
    /// The user has ended the streams of the device.
    Ended,
}

impl EndReason {
    /// Returns the stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::TooOld => "STREAM_TOO_OLD",
            Self::Drained => "SERVER_STOPPING",
            Self::SignedOut => "SIGNED_OUT",
            Self::Ended => "STREAM_ENDED",
        }
    }

    /// Returns the message for the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::Expired => "the token has expired",
            Self::TooOld => "the stream has reached its maximum lifetime; open it again",
            Self::Drained => "the server is stopping; open the stream again",
            Self::SignedOut => "the user has signed out everywhere; sign in again",
            Self::Ended => "the user has ended the streams of this device; open the stream again",
        }
    }
}
