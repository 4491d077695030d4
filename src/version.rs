//! Core identifiers: [`UserId`], [`Epoch`], [`Version`] and [`Head`].
//!
//! Imports no other module of the crate.
//!
//! **Invariant:** [`Head`] orders by epoch first, then by version. A feed that yields only greater heads is monotonic
//! across a restore too.

use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Identifies a user: the token's `sub` claim exactly as issued, case-sensitive.
///
/// It keys every row in the database, so a request needs no lookup from subject to row id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Maximum length in bytes. `OpenID` Connect Core 1.0, section 2, allows 255 ASCII characters.
    pub const MAX_BYTES: usize = 255;

    /// Validates a subject.
    ///
    /// # Errors
    /// When it is empty, exceeds [`UserId::MAX_BYTES`], or contains a control character: PostgreSQL cannot store NUL,
    /// and a log entry must stay on one line.
    pub fn new(subject: &str) -> Result<Self, InvalidUserId> {
        if subject.is_empty() {
            return Err(InvalidUserId::Empty);
        }
        if subject.len() > Self::MAX_BYTES {
            return Err(InvalidUserId::TooLong);
        }
        if subject.chars().any(char::is_control) {
            return Err(InvalidUserId::Control);
        }
        Ok(Self(subject.into()))
    }

    /// Returns the subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a subject is not a valid [`UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// The empty string.
    #[error("the subject is empty")]
    Empty,
    /// Over [`UserId::MAX_BYTES`].
    #[error("the subject exceeds {} bytes", UserId::MAX_BYTES)]
    TooLong,
    /// Contains a control character.
    #[error("the subject contains a control character")]
    Control,
}

/// A user's library version: starts at 1 and grows by exactly 1 with each change.
///
/// 32 bits, like GraphQL's `Int` and the older app's `integer` column.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(i32);

impl Version {
    /// The version of a library that never changed.
    pub const FIRST: Self = Self(1);

    /// Wraps a stored or received number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a numbering of versions: the Unix time in milliseconds at which it began.
///
/// A time rather than a counter, so that restoring the same backup twice begins two different epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// Wraps a stored or received number.
    pub const fn new(unix_millis: i64) -> Self {
        Self(unix_millis)
    }

    /// Returns the Unix time in milliseconds.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A user's current epoch and version. Its text form `<epoch>.<version>` is the `id:` of a server-sent event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// The numbering.
    pub epoch: Epoch,
    /// The version within the epoch.
    pub version: Version,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.version)
    }
}

impl FromStr for Head {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, version) = text.split_once('.').ok_or(InvalidHead)?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(epoch) || !digits(version) {
            return Err(InvalidHead);
        }
        Ok(Self {
            epoch: Epoch(epoch.parse().map_err(|_| InvalidHead)?),
            version: Version(version.parse().map_err(|_| InvalidHead)?),
        })
    }
}

/// The text is not of the form `<epoch>.<version>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected <epoch>.<version>")]
pub struct InvalidHead;

#[cfg(test)]
pub(crate) mod testing {
    use super::{Epoch, Head, Version};

    /// A head of two numbers.
    pub(crate) fn head(epoch: i64, version: i32) -> Head {
        Head {
            epoch: Epoch::new(epoch),
            version: Version::new(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::head, *};

    #[test]
    fn a_newer_epoch_is_greater_at_any_version() {
        assert!(head(2, 1) > head(1, 900));
        assert!(head(2, 7) > head(2, 6));
    }

    #[test]
    fn a_head_round_trips_through_text() {
        assert_eq!(
            head(1_700_000_000_000, 42).to_string().parse(),
            Ok(head(1_700_000_000_000, 42))
        );
    }

    #[test]
    fn malformed_heads_are_rejected() {
        for text in [
            "",
            ".",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "+1.2",
            "1.-2",
            "a.b",
            "1.99999999999",
            "1 .2",
            "1.2\r\nx: y",
        ] {
            assert_eq!(text.parse::<Head>(), Err(InvalidHead), "{text:?}");
        }
    }

    #[test]
    fn a_subject_is_kept_as_issued_or_rejected() {
        assert_eq!(
            UserId::new("Auth0|Ab c").map(|u| u.to_string()),
            Ok("Auth0|Ab c".to_owned())
        );
        assert_eq!(UserId::new(""), Err(InvalidUserId::Empty));
        assert_eq!(UserId::new(&"x".repeat(256)), Err(InvalidUserId::TooLong));
        assert_eq!(UserId::new("a\nb"), Err(InvalidUserId::Control));
    }
}
