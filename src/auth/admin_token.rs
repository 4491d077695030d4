//! [`AdminToken`]: the credential of operators.
//!
//! **Invariant:** only the digest of the token is kept, and digests are compared in constant time. So memory and the
//! timing of a refusal do not reveal the token.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};

/// The credential of operators, which the server is configured with.
#[derive(Clone)]
pub struct AdminToken(digest::Digest);

/// Why a text is not an [`AdminToken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be {} to {} letters, digits or signs of ASCII without spaces: generate one with `openssl rand -hex 32`",
    AdminToken::MIN,
    AdminToken::MAX
)]
pub struct InvalidAdminToken;

impl AdminToken {
    /// Minimum length, so that a token cannot be guessed at the permitted request rate.
    pub const MIN: usize = 32;
    /// Maximum length, so that it fits into a header.
    pub const MAX: usize = 1_024;

    /// Validates a token.
    ///
    /// # Errors
    /// When it is too short, too long, or not sendable as a bearer token.
    pub fn new(token: &str) -> Result<Self, InvalidAdminToken> {
        let is_valid = (Self::MIN..=Self::MAX).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_valid.then(|| Self(hash(token))).ok_or(InvalidAdminToken)
    }

    /// Returns whether a request's token is this one.
    pub fn admits(&self, token: &str) -> bool {
        verify_slices_are_equal(hash(token).as_ref(), self.0.as_ref()).is_ok()
    }
}

fn hash(token: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, token.as_bytes())
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn only_the_same_token_is_admitted() {
        let token = AdminToken::new(TOKEN).unwrap();
        assert!(token.admits(TOKEN));
        for wrong in ["", &TOKEN[1..], &format!("{TOKEN}0"), &TOKEN.to_uppercase()] {
            assert!(!token.admits(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "[redacted]");
    }

    #[test]
    fn a_token_that_is_short_or_cannot_be_sent_is_invalid() {
        for wrong in [
            "",
            &TOKEN[1..],
            &TOKEN.replace('0', " "),
            &TOKEN.replace('0', "é"),
            &TOKEN.replace('0', "\n"),
            &TOKEN.repeat(33),
        ] {
            assert!(AdminToken::new(wrong).is_err(), "{wrong:?}");
        }
        let rule = InvalidAdminToken.to_string();
        assert!(rule.starts_with("must be 32 to 1024 "), "{rule}");
    }
}
