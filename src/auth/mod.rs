//! Who is calling: a token or a ticket becomes a [`Viewer`], or a [`Rejection`] says why not.
//!
//! ```text
//! Authorization ─ bearer ───────┐
//! Cookie ─ cookie::find ────────┼─ Verifier ─ Keys (one key, or a JWKS) ─┬─ Viewer
//! connection_init ─ bearer ─────┘                                        │
//! ?ticket= ─ Ticket, by whose digest the library keeps the viewer ────────┘
//! ```
//!
//! A viewer whose credential is a [`Credential::Cookie`] was sent by the browser, not by the page, so
//! [`Origins::admits`] must agree to the request as well.
//!
//! **Invariant:** the key decides the algorithm. Nothing in a token's header chooses how it is checked.
//!
//! **Invariant:** no claim is looked at, and so none is told apart in an answer, before the signature
//! has been found good.

use time::OffsetDateTime;

use crate::version::UserId;

pub mod cookie;
mod jwk;
mod jwks;
mod keys;
mod origin;
mod ticket;
mod token;
mod verify;

pub use jwks::JwksTiming;
pub use keys::{InvalidKey, Keys};
pub use origin::{Ask, InvalidOrigin, Origins};
pub use ticket::{Ticket, TicketLimits};
pub use token::{Rules, mint};
pub use verify::Verifier;

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// Whose library they may use.
    pub user: UserId,
    /// From when on the credential is refused (the token's `exp` plus the leeway). A stream ends then.
    pub expires_at: OffsetDateTime,
    /// What they showed.
    pub credential: Credential,
}

/// What a caller showed to prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A token that the program itself sent: `Authorization: Bearer`, or in `connection_init`.
    Bearer,
    /// A token in the session cookie. Browsers attach it to requests of other sites too, so it counts
    /// only where [`Origins::admits`] says so.
    Cookie,
    /// A [`Ticket`]: good for opening one stream, and for nothing else.
    Ticket,
}

/// Why a token is refused. The messages are safe to show to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Over [`Verifier::MAX_TOKEN_BYTES`].
    #[error("the token is longer than {} bytes", Verifier::MAX_TOKEN_BYTES)]
    TooLong,
    /// Not a signed JSON Web Token, or one whose claims have the wrong types.
    #[error("the token is malformed")]
    Malformed,
    /// Another algorithm, an unknown key, a `crit` header, or a wrong signature: which, is not told.
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
    /// A claim that every token must carry.
    #[error("the token lacks the claim `{0}`")]
    MissingClaim(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is missing or another.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// `aud` is missing or does not name this server.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `sub` is no [`UserId`].
    #[error("the token's subject is empty, too long, or holds a control character")]
    InvalidSubject,
    /// The key server does not answer, and the token's key is not among the cached ones.
    #[error("tokens cannot be checked at the moment; try again soon")]
    Unavailable,
    /// The token's `kid` is not among the cached keys, and the key server was asked too short a time ago to be asked
    /// again. Holds when it can be, in seconds.
    #[error("the token's `kid` is not known yet; try again in {0} s")]
    UnknownKey(u32),
}

impl Rejection {
    /// The stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "TOKEN_EXPIRED",
            Self::Unavailable | Self::UnknownKey(_) => "UNAVAILABLE",
            _ => "UNAUTHENTICATED",
        }
    }

    /// Whether the same token may be accepted later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::Unavailable | Self::UnknownKey(_))
    }
}

/// Finds the token in the value of an `Authorization` header (RFC 6750, section 2.1).
///
/// `None` when the scheme is not `Bearer`, in any case, or when nothing follows it.
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for header in ["Bearer a.b.c", "bearer a.b.c", " BEARER   a.b.c "] {
            assert_eq!(bearer(header), Some("a.b.c"), "{header:?}");
        }
    }

    #[test]
    fn another_scheme_is_no_bearer_token() {
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Basic a.b.c",
            "a.b.c",
            "Bearera.b.c",
            "Bearer\ta",
        ] {
            assert_eq!(bearer(header), None, "{header:?}");
        }
    }

    #[test]
    fn each_rejection_has_one_of_three_codes() {
        assert_eq!(Rejection::Expired.code(), "TOKEN_EXPIRED");
        for rejection in [Rejection::Unavailable, Rejection::UnknownKey(30)] {
            assert_eq!(rejection.code(), "UNAVAILABLE");
            assert!(rejection.is_temporary());
        }
        for rejection in [
            Rejection::TooLong,
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
