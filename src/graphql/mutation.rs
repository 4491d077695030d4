//! The mutation root. Each mutation is one `library.write`: one transaction, at most one step of the version.

use async_graphql::{Context, Object};

use super::{
    context::CallerExt as _,
    types::{
        CreateFandomPayload, CreateLabelInput, CreateStoryWithProgressInput,
        CreateStoryWithProgressPayload, CreateTagPayload, DeleteProgressInput,
        DeleteProgressPayload, UpdateProgressInput, UpdateProgressPayload,
        UpdateStoryWithRelationsInput, UpdateStoryWithRelationsPayload,
    },
};
use crate::library::{Error, LabelKind};

/// Changes to your library. Each is made whole or not at all, and moves the version by 1 if it changes anything.
pub(super) struct Mutation;

#[Object]
impl Mutation {
    /// Adds a story to your library, with how far you have read it.
    async fn create_story_with_progress(
        &self,
        ctx: &Context<'_>,
        input: CreateStoryWithProgressInput,
    ) -> Result<CreateStoryWithProgressPayload, Error> {
        let new = input.into_new_entry()?;
        let write = ctx
            .caller()
            .write(|library| Box::pin(library.create_story_with_progress(new)));
        Ok(write.await?.into())
    }

    /// Changes a story: fields that are absent are left alone, and null clears where it may.
    async fn update_story_with_relations(
        &self,
        ctx: &Context<'_>,
        input: UpdateStoryWithRelationsInput,
    ) -> Result<UpdateStoryWithRelationsPayload, Error> {
        let (id, patch) = input.into_patch()?;
        let write = ctx
            .caller()
            .write(move |library| Box::pin(async move { library.update_story(id, &patch).await }));
        Ok(write.await?.into())
    }

    /// Changes how far you have read: fields that are absent are left alone, and null clears where it may.
    async fn update_progress(
        &self,
        ctx: &Context<'_>,
        input: UpdateProgressInput,
    ) -> Result<UpdateProgressPayload, Error> {
        let (id, patch) = input.into_patch()?;
        let write = ctx.caller().write(move |library| {
            Box::pin(async move { library.update_progress(id, &patch).await })
        });
        Ok(write.await?.into())
    }

    /// Removes an entry from your library: the progress and its story.
    async fn delete_progress(
        &self,
        ctx: &Context<'_>,
        input: DeleteProgressInput,
    ) -> Result<DeleteProgressPayload, Error> {
        let id = input.progress_id()?;
        Ok(ctx
            .caller()
            .write(move |library| Box::pin(library.delete_progress(id)))
            .await?
            .into())
    }

    /// Makes a tag.
    async fn create_tag(
        &self,
        ctx: &Context<'_>,
        input: CreateLabelInput,
    ) -> Result<CreateTagPayload, Error> {
        let (id, name) = input.into_label()?;
        let write = ctx
            .caller()
            .write(move |library| Box::pin(library.create_label(LabelKind::Tag, id, name)));
        Ok(write.await?.into())
    }

    /// Makes a fandom.
    async fn create_fandom(
        &self,
        ctx: &Context<'_>,
        input: CreateLabelInput,
    ) -> Result<CreateFandomPayload, Error> {
        let (id, name) = input.into_label()?;
        let write = ctx
            .caller()
            .write(move |library| Box::pin(library.create_label(LabelKind::Fandom, id, name)));
        Ok(write.await?.into())
    }
}
