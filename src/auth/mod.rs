//! Who is calling: a token or a ticket becomes a [`Viewer`], or a [`Rejection`] says why not.
//!
//! ```text
//! Authorization ─ bearer ───────┐
//! Cookie ─ find_cookie  ────────┼─ Verifier ─ Keys (one key, or a JWKS) ─┬─ Viewer
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
    bearer::bearer,
    cookie::find_cookie,
    jwks::JwksTiming,
    key::InvalidKey,
    keys::Keys,
    origin::{Ask, InvalidOrigin, Origins},
    rejection::Rejection,
    ticket::Ticket,
    token::{Rules, mint},
    verify::Verifier,
    viewer::{Credential, Viewer},
};
