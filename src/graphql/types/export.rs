//! The export of a library.

use std::time::Duration;

use async_graphql::{InputObject, SimpleObject};

use super::{Head, Library, payload::Refusal, ticket};
use crate::{auth::Ticket, library::Error, version};

/// Options of an export.
#[derive(InputObject)]
pub(in crate::graphql) struct ExportLibraryInput {
    /// Seconds for which the address is valid, from 1 to 30 unless the server is configured otherwise. Null means the
    /// longest time.
    expires_in: Option<i32>,
}

impl ExportLibraryInput {
    /// How long the address is valid, which is `most` unless less is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not in range.
    pub fn life(&self, most: Duration) -> Result<Duration, Error> {
        ticket::life(self.expires_in, most)
    }
}

/// Result of `exportLibrary`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ExportLibraryPayload {
    /// Version of the library, which an export does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Path and query of the download on this server, such as `/api/library-export?ticket=…`. It works once. Null means
    /// that the mutation was refused.
    address: Option<String>,
    /// Seconds for which the address is valid. Null means that the mutation was refused.
    expires_in: Option<i32>,
    /// Reason why no address was created. Null means that it was created.
    refusal: Option<Refusal>,
}

impl ExportLibraryPayload {
    /// The address of a download that must begin within `life`.
    pub fn new(head: version::Head, ticket: Ticket, life: Duration) -> Self {
        Self {
            address: Some(format!("/api/library-export?ticket={}", ticket.into_text())),
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
            address: None,
            expires_in: None,
            refusal: None,
        }
    }
}
