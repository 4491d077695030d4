//! The words everything else is said in: whose library, which numbering, which number.
//!
//! Sits below every other module and imports none of them.
//!
//! **Invariant:** [`Head`] is ordered by epoch first, so a head of a newer epoch is greater whatever
//! its version. A feed that yields only greater heads is therefore monotone across a restore too.

use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Whose library: the token's `sub`, exactly as issued (case counts).
///
/// It is the key of every row in the database, so a request needs no look-up from subject to row id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The longest subject accepted, in bytes. (`OpenID` Connect Core 1.0, section 2, says 255 ASCII characters.)
    pub const MAX_BYTES: usize = 255;

    /// Accepts a subject.
    ///
    /// # Errors
    /// When it is empty, longer than [`UserId::MAX_BYTES`], or holds a control character (PostgreSQL
    /// cannot store NUL, and a log line must stay one line).
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

    /// The subject as text.
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

/// Why a subject is no [`UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// The empty string.
    #[error("the subject is empty")]
    Empty,
    /// Over [`UserId::MAX_BYTES`].
    #[error("the subject is longer than {} bytes", UserId::MAX_BYTES)]
    TooLong,
    /// A control character.
    #[error("the subject holds a control character")]
    Control,
}

/// A user's counter: 1 for a library never changed, then one more with each change.
///
/// 32 bits, because that is what GraphQL's `Int` and the older app's `integer` column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(i32);

impl Version {
    /// Where every library starts.
    pub const FIRST: Self = Self(1);

    /// Wraps a stored or received number.
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The bare number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which numbering a version belongs to: the Unix time in milliseconds at which it was begun.
///
/// A time rather than a count, so that restoring the same backup twice cannot begin the same epoch twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(i64);

impl Epoch {
    /// Wraps a stored or received number.
    pub const fn new(unix_millis: i64) -> Self {
        Self(unix_millis)
    }

    /// The bare number, in milliseconds since the Unix epoch.
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

/// A user's current epoch and version. Written `<epoch>.<version>`, as in the `id:` of a server-sent event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// Which numbering.
    pub epoch: Epoch,
    /// Which number in it.
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

/// A text that is no `<epoch>.<version>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected <epoch>.<version>")]
pub struct InvalidHead;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(epoch: i64, version: i32) -> Head {
        Head {
            epoch: Epoch::new(epoch),
            version: Version::new(version),
        }
    }

    #[test]
    fn a_newer_epoch_is_greater_whatever_its_version() {
        assert!(head(2, 1) > head(1, 900));
        assert!(head(2, 7) > head(2, 6));
    }

    #[test]
    fn a_head_reads_back_from_its_text() {
        assert_eq!(
            head(1_700_000_000_000, 42).to_string().parse(),
            Ok(head(1_700_000_000_000, 42))
        );
    }

    #[test]
    fn a_text_that_is_no_head_is_refused() {
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
    fn a_subject_is_kept_as_issued_or_refused() {
        assert_eq!(
            UserId::new("Auth0|Ab c").map(|u| u.to_string()),
            Ok("Auth0|Ab c".to_owned())
        );
        assert_eq!(UserId::new(""), Err(InvalidUserId::Empty));
        assert_eq!(UserId::new(&"x".repeat(256)), Err(InvalidUserId::TooLong));
        assert_eq!(UserId::new("a\nb"), Err(InvalidUserId::Control));
    }
}
