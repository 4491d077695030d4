//! Mutations of the account as a whole: its export and its erasure.

use std::time::Duration;

use async_graphql::{Context, Object};

use super::{
    context::CallerExt as _,
    mutation::nullable,
    types::{
        EraseAccountInput, EraseAccountPayload, ExportLibraryInput, ExportLibraryPayload,
        RequestAccountErasureInput, RequestAccountErasurePayload,
    },
};
use crate::{
    auth::{Purpose, Ticket},
    library::Error,
};

/// Lifetime of a confirmation: time for the user to read what will be erased.
const CONFIRMATION_LIFE: Duration = Duration::from_mins(5);

/// The mutations of the account.
#[derive(Default)]
pub(super) struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Creates a single-use address from which the library can be downloaded with its history, as JSON Lines. Another
    /// server imports the file to an equal library. Does not change the library.
    async fn export_library(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Options of the address.")] input: ExportLibraryInput,
    ) -> Option<Result<ExportLibraryPayload, Error>> {
        let caller = ctx.caller();
        nullable(async {
            let life = input.life(caller.limits.ticket_life)?;
            let head = caller.head()?;
            let created = caller.create_ticket(Purpose::Export, life).await?;
            Ok(match created {
                Some(ticket) => ExportLibraryPayload::new(head, ticket, life),
                None => ExportLibraryPayload::refused(head, Ticket::MAX_PER_USER),
            })
        })
        .await
    }

    /// Creates a token that confirms the erasure of the account, for `eraseAccount`. Ask the user before it is used.
    /// Does not change the library.
    async fn request_account_erasure(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Options of the confirmation.")] input: RequestAccountErasureInput,
    ) -> Option<Result<RequestAccountErasurePayload, Error>> {
        let caller = ctx.caller();
        nullable(async {
            let life = input.life(CONFIRMATION_LIFE)?;
            let head = caller.head()?;
            let created = caller.create_ticket(Purpose::Erasure, life).await?;
            Ok(match created {
                Some(token) => RequestAccountErasurePayload::new(head, token, life),
                None => RequestAccountErasurePayload::refused(head, Ticket::MAX_PER_USER),
            })
        })
        .await
    }

    /// Erases everything that the server stores for the user: the library, its history, results of mutations, devices and
    /// push endpoints. It cannot be undone. Streams end, and devices that were offline empty themselves when they
    /// reconnect.
    async fn erase_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Confirmation of the erasure.")] input: EraseAccountInput,
    ) -> Option<Result<EraseAccountPayload, Error>> {
        let caller = ctx.caller();
        nullable(async {
            let head = caller.head()?;
            let Some(confirmation) = input.confirmation() else {
                return Ok(EraseAccountPayload::refused(head));
            };
            let user = &caller.viewer.user;
            let erased = caller
                .library
                .erase_account(user, Some(confirmation.digest()));
            Ok(match erased.await? {
                Some(erased) => {
                    caller.reached.raise(erased.head);
                    EraseAccountPayload::new(erased)
                }
                None => EraseAccountPayload::refused(head),
            })
        })
        .await
    }
}
