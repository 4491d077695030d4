//! Authentication: verifies a token or a ticket, and returns a [`Viewer`] or a [`Rejection`].
//!
//! ```text
//! Authorization ─ bearer ───────┐
//! Cookie ─ find_cookie  ────────┼─ Verifier ─ Keys (one key, or a JWKS) ─┬─ Viewer
//! connection_init ─ bearer ─────┘                                        │
//! Cookie of Auth.js ─ AuthjsSessions ─────────────────────────────────────┤
//! ?ticket= ─ Ticket, whose viewer the library stores by digest ───────────┘
//! ```
//!
//! An operator has no viewer: [`AdminToken`] admits them to the operator's page.
//!
//! The browser sends a [`Credential::Cookie`] with requests of any page, so [`Origins::admits`] must also accept the request.
//!
//! **Invariant:** the key determines the algorithm. A token's header cannot select it.
//!
//! **Invariant:** a token that was verified before is accepted only as long as it would be verified again.
//!
//! **Invariant:** the signature is verified before any claim is read, so errors reveal nothing about unverified claims.

mod accepted_tokens;
mod admin_token;
mod authjs;
mod bearer;
mod cookie;
mod jwk;
mod jwks;
mod key;
mod keys;
mod origin;
mod rejection;
#[cfg(test)]
mod testing;
mod ticket;
mod token;
mod verify;
mod viewer;

pub use self::{
    admin_token::{AdminToken, InvalidAdminToken},
    authjs::{AUTHJS_COOKIES, AuthjsSession, AuthjsSessions, InvalidAuthjsSecret},
    bearer::bearer,
    cookie::find_cookie,
    jwks::{CannotCountKeys, JwksTiming, count_keys},
    key::InvalidKey,
    keys::Keys,
    origin::{Ask, InvalidOrigin, Origins},
    rejection::Rejection,
    ticket::{Purpose, Ticket},
    token::{Rules, mint},
    verify::Verifier,
    viewer::{Credential, Viewer},
};
