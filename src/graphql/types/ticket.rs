//! Tickets that open streams.

use std::time::Duration;

use async_graphql::{InputObject, SimpleObject};

use super::{Head, Library, payload::Refusal};
use crate::{auth::Ticket, library::Error, version};

/// Options of a stream ticket.
#[derive(InputObject)]
pub(in crate::graphql) struct CreateStreamTicketInput {
    /// Seconds for which the ticket is valid, from 1 to 30 unless the server is configured otherwise. Null means the
    /// longest time.
    expires_in: Option<i32>,
}

impl CreateStreamTicketInput {
    /// How long the ticket lives, which is `most` unless less is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not in range.
    pub fn life(&self, most: Duration) -> Result<Duration, Error> {
        life(self.expires_in, most)
    }
}

/// Returns the lifetime of a ticket: `expires_in` seconds, or `most` for null.
///
/// # Errors
/// [`Error::Invalid`] when it is not in range.
pub(super) fn life(expires_in: Option<i32>, most: Duration) -> Result<Duration, Error> {
    let Some(seconds) = expires_in else {
        return Ok(most);
    };
    let life = u64::try_from(seconds).map(Duration::from_secs).ok();
    let life = life.filter(|life| !life.is_zero() && *life <= most);
    life.ok_or_else(|| Error::invalid("expiresIn", format!("must be from 1 to {}", most.as_secs())))
}

/// Result of `createStreamTicket`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct CreateStreamTicketPayload {
    /// Version of the library, which a ticket does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Single-use ticket, which opens one stream and nothing else: add it to the address of the stream as `?ticket=`.
    /// Null means that the mutation was refused.
    ticket: Option<String>,
    /// Seconds for which the ticket is valid. Null means that the mutation was refused.
    expires_in: Option<i32>,
    /// Reason why no ticket was created. Null means that the ticket was created.
    refusal: Option<Refusal>,
}

impl CreateStreamTicketPayload {
    /// A ticket that lives so long.
    pub fn new(head: version::Head, ticket: Ticket, life: Duration) -> Self {
        Self {
            ticket: Some(ticket.into_text()),
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
            ticket: None,
            expires_in: None,
            refusal: None,
        }
    }
}
