//! Writes of progresses.

use std::collections::BTreeSet;

use sea_orm::{ActiveValue::NotSet, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::{Deserialize, Serialize};

use super::{
    conflict::Against,
    conflict_resolution::Target,
    writer::{LibraryWriter, Updated},
};
use crate::{
    library::{
        entity::progress,
        error::{Error, Refusal},
        model::{
            id::{LabelId, ProgressId, StoryId},
            kind::Kind,
            limits::Usage,
            progress::{Progress, ProgressPatch, ProgressState},
        },
    },
    version::Head,
};

/// What is gone with a progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "KeptDeletion")]
pub struct DeletedEntry {
    /// The progress.
    pub progress: ProgressId,
    /// Its story; unknown where an older server kept the answer.
    pub story: Option<StoryId>,
    /// The tags that were on the story.
    pub tag_ids: BTreeSet<LabelId>,
    /// The fandoms that were on the story.
    pub fandom_ids: BTreeSet<LabelId>,
}

/// A deletion as a receipt keeps it.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeptDeletion {
    Entry {
        progress: ProgressId,
        story: Option<StoryId>,
        tag_ids: BTreeSet<LabelId>,
        fandom_ids: BTreeSet<LabelId>,
    },
    /// As older servers wrote it.
    Progress(ProgressId),
}

impl From<KeptDeletion> for DeletedEntry {
    fn from(kept: KeptDeletion) -> Self {
        match kept {
            KeptDeletion::Entry {
                progress,
                story,
                tag_ids,
                fandom_ids,
            } => Self {
                progress,
                story,
                tag_ids,
                fandom_ids,
            },
            KeptDeletion::Progress(progress) => Self {
                progress,
                story: None,
                tag_ids: BTreeSet::new(),
                fandom_ids: BTreeSet::new(),
            },
        }
    }
}

impl Progress {
    pub(super) fn target(&self) -> Target {
        Target {
            kind: Kind::Progress,
            id: self.id.0,
            stamp: self.stamp,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl ProgressState {
    /// The storage that it uses.
    pub(super) fn usage(&self) -> Usage {
        Usage::texts(self.notes.as_deref())
    }
}

impl LibraryWriter {
    /// Changes some fields of a progress. Stamps only if a value changes.
    ///
    /// # Errors
    /// [`Error::Invalid`]; refused when the progress does not exist or the change conflicts.
    pub async fn update_progress(
        &mut self,
        id: ProgressId,
        change: ProgressPatch,
        against: Against,
    ) -> Result<Updated<Progress>, Error> {
        let mut row = self.progress(id).await?;
        // An invalid value is an error, even for a field that is not written.
        crate::library::model::patch::apply(&row.state, &change)?.tidy_changes(&row.state)?;
        let (after, left) = self
            .resolve(row.target(), &row.state, &change, against)
            .await?;
        let after = after.tidy_changes(&row.state)?;
        if after != row.state {
            row = self.store_progress(row, after).await?;
            self.used.push(id.0);
        }
        Ok(Updated { row, left })
    }

    /// Stamps and stores a changed progress.
    pub(super) async fn store_progress(
        &mut self,
        mut row: Progress,
        after: ProgressState,
    ) -> Result<Progress, Error> {
        let keeps_status = after.status == row.state.status;
        self.record(Kind::Progress, row.id.0, &row.state, &after)
            .await?;
        self.shrink(row.state.usage());
        self.grow(after.usage());
        row.state = after;
        row.stamp = self.stamp(Kind::Progress);
        row.updated_at = self.now;
        let mut columns = progress::row(&self.user, &row);
        if keeps_status {
            // The stored name may be one that only a newer version knows.
            columns.status = NotSet;
        }
        progress::Entity::update(columns).exec(&self.tx).await?;
        Ok(row)
    }

    /// Deletes an entry: the progress and its story, with a tombstone for each.
    ///
    /// # Errors
    /// Refused when the progress does not exist, or when another device changed the entry after `base`.
    pub async fn delete_progress(
        &mut self,
        id: ProgressId,
        base: Option<Head>,
    ) -> Result<DeletedEntry, Error> {
        let progress = self.progress(id).await?;
        if let Some(base) = base {
            let (target, state) = (progress.target(), &progress.state);
            self.refuse_unseen_changes(target, state, base).await?;
            self.refuse_unseen_story(progress.story_id, base).await?;
        }
        progress::Entity::delete_by_id((self.user.as_str().to_owned(), id.0))
            .exec(&self.tx)
            .await?;
        self.shrink(progress.state.usage());
        self.bury(Kind::Progress, id.0, progress.created_stamp, &progress)
            .await?;
        let story = progress.story_id;
        let [tag_ids, fandom_ids] = self.remove_story(story).await?;
        Ok(DeletedEntry {
            progress: id,
            story: Some(story),
            tag_ids,
            fandom_ids,
        })
    }

    pub(super) async fn insert_progress(
        &mut self,
        id: Option<ProgressId>,
        story_id: StoryId,
        state: ProgressState,
    ) -> Result<Progress, Error> {
        let is_given = id.is_some();
        let id = id.unwrap_or_else(ProgressId::fresh);
        let (stamp, now) = (self.stamp(Kind::Progress), self.now);
        let progress = Progress {
            id,
            story_id,
            stamp,
            created_stamp: stamp,
            created_at: now,
            updated_at: now,
            state,
        };
        if is_given {
            self.unbury(Kind::Progress, id.0).await?;
        }
        self.grow(progress.state.usage());
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

    pub(super) async fn find_progress(&self, id: ProgressId) -> Result<Option<Progress>, Error> {
        let row = progress::Entity::find_by_id((self.user.as_str().to_owned(), id.0))
            .one(&self.tx)
            .await?;
        Ok(row.map(Progress::try_from).transpose()?)
    }

    async fn progress(&self, id: ProgressId) -> Result<Progress, Error> {
        let found = self.find_progress(id).await?;
        found.ok_or_else(|| Refusal::not_found("id", id.0))
    }
}
