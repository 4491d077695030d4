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
}

impl EndReason {
    /// Returns the stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::TooOld => "STREAM_TOO_OLD",
            Self::Drained => "SERVER_STOPPING",
        }
    }

    /// Returns the message for the client.
    pub fn message(self) -> &'static str {
        match self {
            Self::Expired => "the token has expired",
            Self::TooOld => "the stream has reached its maximum lifetime; open it again",
            Self::Drained => "the server is stopping; open the stream again",
        }
    }
}
