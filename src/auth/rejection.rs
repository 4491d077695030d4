//! [`Rejection`]: why a token is refused.

use super::bearer::MAX_TOKEN_BYTES;

/// Why a token is refused. The messages contain nothing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Longer than `MAX_TOKEN_BYTES` (8 KiB).
    #[error("the token is longer than {} bytes", MAX_TOKEN_BYTES)]
    TooLong,
    /// A session cookie longer than 16 KiB.
    #[error("the session cookie is longer than 16384 bytes")]
    SessionTooLong,
    /// Not a signed or encrypted JSON Web Token, or one whose claims have the wrong types.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm, an unknown key, a `crit` header, or an invalid signature or tag. The message does not say which.
    #[error("the token's signature is not accepted")]
    Untrusted,
    /// The token has no `kid`, and no published key is for its algorithm.
    #[error("the token has no `kid`, and no key of the key server is for its `alg`")]
    NoKeyFits,
    /// The token has no `kid`, and several published keys are for its algorithm.
    #[error(
        "the token has no `kid`, and several keys of the key server are for its `alg`; the issuer must set `kid`"
    )]
    SeveralKeysFit,
    /// A required claim is missing.
    #[error("the token lacks the claim `{0}`")]
    MissingClaim(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is missing or different.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// `aud` is missing or does not contain this server.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `sub` is not a valid [`UserId`](crate::version::UserId).
    #[error("the token's subject is empty, too long, or holds a control character")]
    InvalidSubject,
    /// The key server does not respond, and the token's key is not cached.
    #[error("tokens cannot be checked at the moment; try again soon")]
    Unavailable,
    /// The token's `kid` is not cached, and the next fetch from the key server is not permitted yet. Holds the retry delay, in
    /// seconds.
    #[error("the token's `kid` is not known yet; try again in {0} s")]
    UnknownKey(u32),
}

impl Rejection {
    /// Returns the stable error code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::Unavailable | Self::UnknownKey(_) => "UNAVAILABLE",
            _ => "UNAUTHENTICATED",
        }
    }

    /// Returns whether the same token may be accepted later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Unavailable | Self::UnknownKey(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rejection_has_one_of_three_codes() {
        assert_eq!(Rejection::Expired.code(), "TOKEN_EXPIRED");
        for rejection in [Rejection::Unavailable, Rejection::UnknownKey(30)] {
            assert_eq!(rejection.code(), "UNAVAILABLE");
            assert!(rejection.is_temporary());
        }
        for rejection in [
            Rejection::TooLong,
            Rejection::SessionTooLong,
            Rejection::Malformed,
            Rejection::Untrusted,
            Rejection::NoKeyFits,
            Rejection::SeveralKeysFit,
            Rejection::MissingClaim("exp"),
            Rejection::NotYetValid,
            Rejection::WrongIssuer,
            Rejection::WrongAudience,
            Rejection::InvalidSubject,
        ] {
            assert_eq!(rejection.code(), "UNAUTHENTICATED", "{rejection}");
        }
    }
}
