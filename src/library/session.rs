//! [`Session`]: who asks, and when their credential was issued.
//!
//! **Invariant:** a session that began before its user signed out everywhere is refused, by the statement that reads the
//! head, that bumps the version, or that begins a delta. So the check costs nothing, and holds on every node at once.

use time::OffsetDateTime;

use crate::{unix_time, version::UserId};

/// When the credential of a session was issued. The default is that of the server itself, which is not refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct IssuedAt(
    /// In milliseconds since the Unix epoch.
    Option<i64>,
);

impl IssuedAt {
    /// Returns whether it is before the user signed out everywhere.
    pub(super) fn is_signed_out(self, signed_out_at: i64) -> bool {
        signed_out_at > 0 && self.0.is_some_and(|issued_at| issued_at < signed_out_at)
    }
}

/// Who asks. A [`UserId`] alone is the server itself.
#[derive(Debug, Clone, Copy)]
pub struct Session<'u> {
    pub(super) user: &'u UserId,
    /// When their credential was issued.
    pub issued_at: IssuedAt,
}

impl<'u> Session<'u> {
    /// Creates the session of a user with a credential. If it does not say when it was issued, it counts as older than any
    /// sign-out.
    pub fn new(user: &'u UserId, issued_at: Option<OffsetDateTime>) -> Self {
        Self {
            user,
            issued_at: IssuedAt(Some(issued_at.map_or(i64::MIN, unix_time::millis))),
        }
    }
}

impl<'u> From<&'u UserId> for Session<'u> {
    fn from(user: &'u UserId) -> Self {
        let issued_at = IssuedAt::default();
        Self { user, issued_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_that_began_before_the_sign_out() {
        let ann = UserId::new("ann").unwrap();
        let issued = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        let session = |issued_at| Session::new(&ann, issued_at);
        assert!(session(issued(99)).issued_at.is_signed_out(100_000));
        assert!(!session(issued(100)).issued_at.is_signed_out(100_000));
        assert!(
            session(issued(100)).issued_at.is_signed_out(100_001),
            "of the same second"
        );
        assert!(
            session(None).issued_at.is_signed_out(1),
            "it does not say when"
        );
        assert!(
            !session(None).issued_at.is_signed_out(0),
            "nobody has signed out"
        );
        assert!(
            !Session::from(&ann).issued_at.is_signed_out(100_000),
            "the server itself"
        );
    }
}
