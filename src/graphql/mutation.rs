//! Mutations of the library. Each is one `library.write`: one transaction that increments the version at most once.
//! The exceptions are `createStreamTicket` and the mutations of push endpoints, which do not change the library.

use async_graphql::{Context, Object};

use super::{
    context::CallerExt as _,
    limits::MAX_IMPORT_ENTRIES,
    types::{
        CreateFandomPayload, CreateLabelInput, CreateStoryWithProgressInput,
        CreateStoryWithProgressPayload, CreateStreamTicketInput, CreateStreamTicketPayload,
        CreateTagPayload, DeleteFandomPayload, DeleteLabelInput, DeleteProgressInput,
        DeleteProgressPayload, DeleteTagPayload, ImportLibraryInput, ImportLibraryPayload,
        RegisterPushEndpointInput, RegisterPushEndpointPayload, RenameFandomPayload,
        RenameLabelInput, RenameTagPayload, RestoreLibraryInput, RestoreLibraryPayload,
        SendTestPushInput, SendTestPushPayload, UndoInput, UndoPayload,
        UnregisterPushEndpointInput, UnregisterPushEndpointPayload, UpdateProgressInput,
        UpdateProgressPayload, UpdateStoryWithRelationsInput, UpdateStoryWithRelationsPayload,
    },
};
use crate::{
    auth::{Purpose, Ticket},
    library::{CheckedLines, Error, LabelKind},
};

/// Mutations of the library.
#[derive(Default)]
pub(super) struct LibraryMutation;

#[Object]
impl LibraryMutation {
    /// Creates a story with its progress.
    async fn create_story_with_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Story and progress to create.")] input: CreateStoryWithProgressInput,
    ) -> Option<Result<CreateStoryWithProgressPayload, Error>> {
        nullable(async {
            let (new, intent) = input.into_new_entry()?;
            let written = ctx
                .caller()
                .write(intent, |library| {
                    Box::pin(library.create_story_with_progress(new))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Changes fields of a story, its tags and fandoms among them. Fields that are omitted keep their values.
    async fn update_story_with_relations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Story to change, and its new values.")]
        input: UpdateStoryWithRelationsInput,
    ) -> Option<Result<UpdateStoryWithRelationsPayload, Error>> {
        nullable(async {
            let (id, patch, against, intent) = input.into_change()?;
            let written = ctx
                .caller()
                .write(intent, move |library| {
                    Box::pin(library.update_story(id, patch, against))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Changes fields of a progress. Fields that are omitted keep their values.
    async fn update_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Progress to change, and its new values.")] input: UpdateProgressInput,
    ) -> Option<Result<UpdateProgressPayload, Error>> {
        nullable(async {
            let (id, patch, against, intent) = input.into_change()?;
            let written = ctx
                .caller()
                .update_progress(intent, id, patch, against)
                .await?;
            UpdateProgressPayload::from(written)
                .with_present_story(ctx)
                .await
        })
        .await
    }

    /// Deletes an entry: the progress and its story.
    async fn delete_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Entry to delete.")] input: DeleteProgressInput,
    ) -> Option<Result<DeleteProgressPayload, Error>> {
        nullable(async {
            let (id, base, intent) = input.into_deletion()?;
            let written = ctx
                .caller()
                .write(intent, move |library| {
                    Box::pin(library.delete_progress(id, base))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Creates a tag.
    async fn create_tag(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Label to create.")] input: CreateLabelInput,
    ) -> Option<Result<CreateTagPayload, Error>> {
        nullable(async {
            let (id, name, intent) = input.into_label("createTag")?;
            let written = ctx
                .caller()
                .write(intent, move |library| {
                    Box::pin(library.create_label(LabelKind::Tag, id, name))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Creates a fandom.
    async fn create_fandom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Label to create.")] input: CreateLabelInput,
    ) -> Option<Result<CreateFandomPayload, Error>> {
        nullable(async {
            let (id, name, intent) = input.into_label("createFandom")?;
            let written = ctx
                .caller()
                .write(intent, move |library| {
                    Box::pin(library.create_label(LabelKind::Fandom, id, name))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Renames a tag. The stories that carry it do not change.
    async fn rename_tag(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Label to rename, and its new name.")] input: RenameLabelInput,
    ) -> Option<Result<RenameTagPayload, Error>> {
        nullable(async {
            let (id, name, against, intent) = input.into_change("renameTag")?;
            let written = ctx
                .caller()
                .write(intent, move |library| {
                    Box::pin(library.rename_label(LabelKind::Tag, id, name, against))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Deletes a tag, and takes it off the stories that carry it, which change.
    async fn delete_tag(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Label to delete.")] input: DeleteLabelInput,
    ) -> Option<Result<DeleteTagPayload, Error>> {
        nullable(async {
            let (id, intent) = input.into_id("deleteTag")?;
            let written = ctx
                .caller()
                .write(intent.of_many_rows(), move |library| {
                    Box::pin(library.delete_label(LabelKind::Tag, id))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Renames a fandom. The stories that carry it do not change.
    async fn rename_fandom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Label to rename, and its new name.")] input: RenameLabelInput,
    ) -> Option<Result<RenameFandomPayload, Error>> {
        nullable(async {
            let (id, name, against, intent) = input.into_change("renameFandom")?;
            let written = ctx
                .caller()
                .write(intent, move |library| {
                    Box::pin(library.rename_label(LabelKind::Fandom, id, name, against))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Deletes a fandom, and takes it off the stories that carry it, which change.
    async fn delete_fandom(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Label to delete.")] input: DeleteLabelInput,
    ) -> Option<Result<DeleteFandomPayload, Error>> {
        nullable(async {
            let (id, intent) = input.into_id("deleteFandom")?;
            let written = ctx
                .caller()
                .write(intent.of_many_rows(), move |library| {
                    Box::pin(library.delete_label(LabelKind::Fandom, id))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Creates many entries at once. Entries that are invalid, or whose address is in the library, are skipped and
    /// reported.
    async fn import_library(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Entries to create.")] input: ImportLibraryInput,
    ) -> Option<Result<ImportLibraryPayload, Error>> {
        nullable(async {
            let (lines, intent) = input.into_lines(MAX_IMPORT_ENTRIES)?;
            let lines = CheckedLines::from(lines);
            let written = ctx
                .caller()
                .write(intent.of_many_rows(), move |library| {
                    Box::pin(library.import(lines))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Undoes one write: brings back the values before it, rows that it removed with their labels, and removes rows that it
    /// created. Changes after that write stay.
    async fn undo(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Write to undo.")] input: UndoInput,
    ) -> Option<Result<UndoPayload, Error>> {
        nullable(async {
            let (version, policy, intent) = input.into_change()?;
            let written = ctx
                .caller()
                .write(intent.of_many_rows(), move |library| {
                    Box::pin(library.undo(version, policy))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Restores the whole library as of an earlier version, as one new write.
    async fn restore_library(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Version to restore.")] input: RestoreLibraryInput,
    ) -> Option<Result<RestoreLibraryPayload, Error>> {
        nullable(async {
            let (to, base, policy, intent) = input.into_change()?;
            let written = ctx
                .caller()
                .write(intent.of_many_rows(), move |library| {
                    Box::pin(library.restore_library(to, base, policy))
                })
                .await?;
            Ok(written.into())
        })
        .await
    }

    /// Creates a single-use ticket that opens one stream, for pages of another origin: their `EventSource` cannot send
    /// headers. Does not change the library.
    async fn create_stream_ticket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Options of the ticket.")] input: CreateStreamTicketInput,
    ) -> Option<Result<CreateStreamTicketPayload, Error>> {
        nullable(async {
            let caller = ctx.caller();
            let life = input.life(caller.limits.ticket_life)?;
            let head = caller.head()?;
            let created = caller.create_ticket(Purpose::Stream, life).await?;
            Ok(match created {
                Some(ticket) => CreateStreamTicketPayload::new(head, ticket, life),
                None => CreateStreamTicketPayload::refused(head, Ticket::MAX_PER_USER),
            })
        })
        .await
    }

    /// Registers the push endpoint of a device, or changes it. Does not change the library.
    async fn register_push_endpoint(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Subscription of the browser, and the device.")]
        input: RegisterPushEndpointInput,
    ) -> Option<Result<RegisterPushEndpointPayload, Error>> {
        nullable(input.register(ctx.caller())).await
    }

    /// Removes the push endpoint of a device, for example when the user signs out. Does not change the library.
    async fn unregister_push_endpoint(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Endpoint to remove.")] input: UnregisterPushEndpointInput,
    ) -> Option<Result<UnregisterPushEndpointPayload, Error>> {
        nullable(input.unregister(ctx.caller())).await
    }

    /// Sends a test message to a device at once. At most one in 10 seconds. Does not change the library.
    async fn send_test_push(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Device to send to.")] input: SendTestPushInput,
    ) -> Option<Result<SendTestPushPayload, Error>> {
        nullable(input.send(ctx.caller())).await
    }
}

/// Makes a payload nullable. If the mutation fails, its field is null with an error at its path. A non-null field would
/// make all of `data` null and hide the payloads of earlier mutations.
pub(super) fn nullable<T, E>(
    made: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Option<Result<T, E>>> {
    // Boxed, because the future of each mutation would be as large as that of the largest one.
    let made = Box::pin(made);
    async { Some(made.await) }
}
