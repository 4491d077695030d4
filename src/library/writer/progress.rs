//! Writing progresses.

use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::{Kind, LibraryWriter};
use crate::library::{
    Progress, ProgressId, ProgressPatch, ProgressState, Refusal, StoryId, entity::progress,
    error::Error, patch,
};

impl LibraryWriter {
    /// Changes some fields of a progress. No change, no stamp.
    ///
    /// # Errors
    /// [`Error::Invalid`]; refused when the progress is unknown.
    pub async fn update_progress(
        &mut self,
        id: ProgressId,
        change: &ProgressPatch,
    ) -> Result<Progress, Error> {
        let mut progress = self.progress(id).await?;
        let after = patch::apply(&progress.state, change)?.tidy()?;
        if after != progress.state {
            progress.state = after;
            progress.stamp = self.stamp();
            progress.updated_at = self.now;
            progress::Entity::update(progress::row(&self.user, &progress))
                .exec(&self.tx)
                .await?;
        }
        Ok(progress)
    }

    /// Removes an entry from the library: the progress and its story, with a tombstone for each.
    ///
    /// # Errors
    /// Refused when the progress is unknown.
    pub async fn delete_progress(&mut self, id: ProgressId) -> Result<ProgressId, Error> {
        let progress = self.progress(id).await?;
        progress::Entity::delete_by_id((self.user.as_str().to_owned(), id.0))
            .exec(&self.tx)
            .await?;
        self.bury(Kind::Progress, id.0).await?;
        self.remove_story(progress.story_id).await?;
        Ok(id)
    }

    pub(super) async fn insert_progress(
        &mut self,
        id: Option<ProgressId>,
        story_id: StoryId,
        state: ProgressState,
    ) -> Result<Progress, Error> {
        let id = id.unwrap_or_else(ProgressId::fresh);
        let (stamp, now) = (self.stamp(), self.now);
        let progress = Progress {
            id,
            story_id,
            stamp,
            created_at: now,
            updated_at: now,
            state,
        };
        self.unbury(Kind::Progress, id.0).await?;
        progress::Entity::insert(progress::row(&self.user, &progress))
            .exec_without_returning(&self.tx)
            .await?;
        Ok(progress)
    }

    pub(super) async fn find_progress_of(&self, story: StoryId) -> Result<Option<Progress>, Error> {
        let row = progress::Entity::find()
            .filter(progress::Column::UserId.eq(self.user.as_str()))
            .filter(progress::Column::StoryId.eq(story.0))
            .one(&self.tx)
            .await?;
        Ok(row.map(Progress::try_from).transpose()?)
    }

    async fn progress(&self, id: ProgressId) -> Result<Progress, Error> {
        let row = progress::Entity::find_by_id((self.user.as_str().to_owned(), id.0))
            .one(&self.tx)
            .await?;
        Ok(row
            .ok_or_else(|| Refusal::not_found("id", id.0))?
            .try_into()?)
    }
}
