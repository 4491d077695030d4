//! The erasure of an account, in two steps.

use std::time::Duration;

use async_graphql::{InputObject, SimpleObject};

use super::{Head, Library, payload::Refusal, ticket};
use crate::{
    auth::{Purpose, Ticket},
    library::{self, Error},
    version,
};

/// Options of a confirmation.
#[derive(InputObject)]
pub(in crate::graphql) struct RequestAccountErasureInput {
    /// Seconds for which the token is valid, from 1 to 300. Null means 300.
    expires_in: Option<i32>,
}

impl RequestAccountErasureInput {
    /// How long the token is valid, which is `most` unless less is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not in range.
    pub fn life(&self, most: Duration) -> Result<Duration, Error> {
        ticket::life(self.expires_in, most)
    }
}

/// Result of `requestAccountErasure`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct RequestAccountErasurePayload {
    /// Version of the library, which a request does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Single-use token that confirms the erasure of this user's account. Null means that the mutation was refused.
    confirmation_token: Option<String>,
    /// Seconds for which the token is valid. Null means that the mutation was refused.
    expires_in: Option<i32>,
    /// Reason why no token was created. Null means that it was created.
    refusal: Option<Refusal>,
}

impl RequestAccountErasurePayload {
    /// A token that is valid for `life`.
    pub fn new(head: version::Head, token: Ticket, life: Duration) -> Self {
        Self {
            confirmation_token: Some(token.into_text()),
            expires_in: Some(i32::try_from(life.as_secs()).unwrap_or(i32::MAX)),
            ..Self::empty(head)
        }
    }

    /// There are `most` tickets that were not used.
    pub fn refused(head: version::Head, most: u64) -> Self {
        Self {
            refusal: Some(Refusal::unused_tickets(most)),
            ..Self::empty(head)
        }
    }

    fn empty(head: version::Head) -> Self {
        Self {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            confirmation_token: None,
            expires_in: None,
            refusal: None,
        }
    }
}

/// Confirmation of an erasure.
#[derive(InputObject)]
pub(in crate::graphql) struct EraseAccountInput {
    /// Token of `requestAccountErasure` for the same user. It is valid once, for 5 minutes.
    confirmation_token: String,
}

impl EraseAccountInput {
    /// Returns the confirmation, unless its format is invalid.
    pub fn confirmation(&self) -> Option<Ticket> {
        Ticket::read(&self.confirmation_token, Purpose::Erasure)
    }
}

/// Result of `eraseAccount`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct EraseAccountPayload {
    /// Version of the library, which is empty.
    library_version: i32,
    /// Head of the library. Its epoch began with the erasure.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Number of rows that were deleted, with those of the history. Null means that the mutation was refused.
    erased_row_count: Option<i32>,
    /// Reason why nothing was erased. Null means that the account was erased.
    refusal: Option<Refusal>,
}

impl EraseAccountPayload {
    /// The account was erased.
    pub fn new(erased: library::Erased) -> Self {
        Self {
            erased_row_count: Some(i32::try_from(erased.rows).unwrap_or(i32::MAX)),
            ..Self::empty(erased.head)
        }
    }

    /// The confirmation is not valid.
    pub fn refused(head: version::Head) -> Self {
        let message = "invalid, expired or already used confirmation token";
        Self {
            refusal: Some(Refusal::not_found("confirmationToken", message)),
            ..Self::empty(head)
        }
    }

    fn empty(head: version::Head) -> Self {
        Self {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            erased_row_count: None,
            refusal: None,
        }
    }
}
