//! Writes of stories, and of the entry that a story and its progress form together.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    conflict::Against,
    conflict_resolution::Target,
    writer::{LibraryWriter, Updated},
};
use crate::{
    library::{
        entity::{progress, story},
        error::{Error, Refusal},
        model::{
            id::{LabelId, ProgressId, StoryId},
            kind::Kind,
            label::{Label, LabelKind},
            limits::Usage,
            progress::{Progress, ProgressState},
            story::{RemovedStory, Story, StoryContent, StoryPatch, StoryState},
            story_url,
        },
    },
    version::Head,
};

/// The input of `createStoryWithProgress`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewEntry {
    /// Client-generated id, if any.
    pub story_id: Option<StoryId>,
    /// Client-generated id, if any.
    pub progress_id: Option<ProgressId>,
    /// The story.
    pub story: StoryState,
    /// Its progress.
    pub progress: ProgressState,
}

/// A story with its labels and progress, after a write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The story.
    pub story: Story,
    /// Its tags, by name.
    #[serde(default)]
    pub tags: Vec<Label>,
    /// Its fandoms, by name.
    #[serde(default)]
    pub fandoms: Vec<Label>,
    /// Its progress.
    pub progress: Option<Progress>,
}

impl Story {
    pub(super) fn target(&self) -> Target {
        Target {
            kind: Kind::Story,
            id: self.id.0,
            stamp: self.stamp,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// The storage that it uses, without labels and progress.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            stories: 1,
            ..self.content.usage()
        }
    }
}

impl StoryContent {
    pub(super) fn usage(&self) -> Usage {
        let (description, summary) = (self.description.as_deref(), self.summary.as_deref());
        let optional = [description, summary].into_iter().flatten();
        Usage::texts(
            [&*self.title, &*self.author, &*self.url]
                .into_iter()
                .chain(optional),
        )
    }
}

impl LibraryWriter {
    /// Creates a story and its progress.
    ///
    /// # Errors
    /// [`Error::Invalid`]; refused when the url or an id exists, or a label does not.
    pub async fn create_story_with_progress(&mut self, new: NewEntry) -> Result<Entry, Error> {
        let state = new.story.tidy()?;
        let progress = new.progress.tidy()?;
        self.refuse_taken_ids(new.story_id, new.progress_id).await?;
        self.refuse_taken_url(&state.content.url).await?;
        let tags = self.labels(LabelKind::Tag, &state.tag_ids).await?;
        let fandoms = self.labels(LabelKind::Fandom, &state.fandom_ids).await?;

        let story = self.insert_story(new.story_id, state.content, None).await?;
        self.link(LabelKind::Tag, story.id, &state.tag_ids).await?;
        self.link(LabelKind::Fandom, story.id, &state.fandom_ids)
            .await?;
        let progress = self
            .insert_progress(new.progress_id, story.id, progress)
            .await?;
        Ok(Entry {
            story,
            tags,
            fandoms,
            progress: Some(progress),
        })
    }

    /// Changes some fields of a story, including its sets of labels. Stamps only if a value changes.
    ///
    /// # Errors
    /// [`Error::Invalid`]; refused when the story or a label does not exist, the new url exists, the change conflicts, or
    /// the merged story has too many labels.
    pub async fn update_story(
        &mut self,
        id: StoryId,
        change: StoryPatch,
        against: Against,
    ) -> Result<Updated<Entry>, Error> {
        let found = self.find_story(id).await?;
        let story = found.ok_or_else(|| Refusal::not_found("id", id.0))?;
        let [tag_ids, fandom_ids] = self.all_linked(id).await?;
        let before = StoryState {
            tag_ids,
            fandom_ids,
            content: story.content.clone(),
        };
        // An invalid value is an error, even for a field that is not written.
        crate::library::model::patch::apply(&before, &change)?.tidy_changes(&before)?;
        let (after, left) = self
            .resolve(story.target(), &before, &change, against)
            .await?;
        refuse_merged_labels(&change, &after)?;
        let after = after.tidy_changes(&before)?;
        if after.content.url != before.content.url {
            self.refuse_url_of_another(&after.content.url, Some(id))
                .await?;
        }
        let tags = self.labels(LabelKind::Tag, &after.tag_ids).await?;
        let fandoms = self.labels(LabelKind::Fandom, &after.fandom_ids).await?;
        let story = if after == before {
            story
        } else {
            self.store_story(story, &before, after, None).await?
        };
        let progress = self.find_progress_of(id).await?;
        Ok(Updated {
            row: Entry {
                story,
                tags,
                fandoms,
                progress,
            },
            left,
        })
    }

    /// Stamps and stores a changed story with its labels. `address` has the columns of an address that another story has.
    pub(super) async fn store_story(
        &mut self,
        mut story: Story,
        before: &StoryState,
        after: StoryState,
        address: Option<(String, Option<String>)>,
    ) -> Result<Story, Error> {
        let id = story.id;
        let keeps_address = after.content.url == before.content.url;
        let keeps_source = after.content.source == before.content.source;
        let keeps_status = after.content.status == before.content.status;
        self.record(Kind::Story, id.0, before, &after).await?;
        self.relink(LabelKind::Tag, id, &before.tag_ids, &after.tag_ids)
            .await?;
        self.relink(LabelKind::Fandom, id, &before.fandom_ids, &after.fandom_ids)
            .await?;
        self.shrink(before.content.usage());
        self.grow(after.content.usage());
        story.content = after.content;
        story.stamp = self.stamp(Kind::Story);
        story.updated_at = self.now;
        let mut row = story::row(&self.user, &story);
        if keeps_address {
            // Stories older than the uniqueness rule may share an address, so it is not written again.
            row.url = NotSet;
            row.url_typed = NotSet;
        } else if let Some((url, typed)) = address {
            row.url = Set(url);
            row.url_typed = Set(typed);
        }
        // A stored name may be one that only a newer version knows.
        if keeps_source {
            row.source = NotSet;
        }
        if keeps_status {
            row.status = NotSet;
        }
        story::Entity::update(row).exec(&self.tx).await?;
        Ok(story)
    }

    /// Stores a new story. `address` is as for [`Self::store_story`].
    pub(super) async fn insert_story(
        &mut self,
        id: Option<StoryId>,
        content: StoryContent,
        address: Option<(String, Option<String>)>,
    ) -> Result<Story, Error> {
        let is_given = id.is_some();
        let id = id.unwrap_or_else(StoryId::fresh);
        let stamp = self.stamp(Kind::Story);
        let story = Story {
            id,
            stamp,
            created_stamp: stamp,
            created_at: self.now,
            updated_at: self.now,
            content,
        };
        if is_given {
            self.unbury(Kind::Story, id.0).await?;
        }
        self.grow(story.usage());
        let mut row = story::row(&self.user, &story);
        if let Some((url, typed)) = address {
            row.url = Set(url);
            row.url_typed = Set(typed);
        }
        story::Entity::insert(row)
            .exec_without_returning(&self.tx)
            .await?;
        Ok(story)
    }

    /// Removes a story, and returns the tags and the fandoms that were on it.
    pub(super) async fn remove_story(
        &mut self,
        id: StoryId,
    ) -> Result<[BTreeSet<LabelId>; 2], Error> {
        let [tag_ids, fandom_ids] = self.all_linked(id).await?;
        let removed = story::Entity::delete_by_id((self.user.as_str().to_owned(), id.0))
            .exec_with_returning(&self.tx)
            .await?;
        let story = removed.ok_or_else(|| Error::fault("a progress without a story"))?;
        let story = Story::try_from(story)?;
        self.shrink(story.usage());
        self.shrink(Usage::links(tag_ids.len() + fandom_ids.len()));
        let row = RemovedStory {
            story,
            tag_ids,
            fandom_ids,
        };
        self.bury(Kind::Story, id.0, row.story.created_stamp, &row)
            .await?;
        Ok([row.tag_ids, row.fandom_ids])
    }

    /// Refuses if another device changed the story after `base`.
    pub(super) async fn refuse_unseen_story(&self, id: StoryId, base: Head) -> Result<(), Error> {
        let story = self.find_story(id).await?;
        let story = story.ok_or_else(|| Error::fault("a progress without a story"))?;
        self.refuse_unseen_changes(story.target(), &story.content, base)
            .await
    }

    pub(super) async fn find_story(&self, id: StoryId) -> Result<Option<Story>, Error> {
        let row = story::Entity::find_by_id((self.user.as_str().to_owned(), id.0))
            .one(&self.tx)
            .await?;
        Ok(row.map(Story::try_from).transpose()?)
    }

    async fn refuse_taken_url(&self, url: &str) -> Result<(), Error> {
        self.refuse_url_of_another(url, None).await
    }

    /// Refuses an address that another story has, in any spelling.
    pub(super) async fn refuse_url_of_another(
        &self,
        url: &str,
        id: Option<StoryId>,
    ) -> Result<(), Error> {
        self.refuse_address_of_another(&story_url::key(url), id)
            .await
    }

    /// Refuses an address in the form of the column `url` that another story has.
    pub(super) async fn refuse_address_of_another(
        &self,
        url: &str,
        id: Option<StoryId>,
    ) -> Result<(), Error> {
        let existing: Option<Uuid> = story::Entity::find()
            .select_only()
            .column(story::Column::Id)
            .filter(story::Column::UserId.eq(self.user.as_str()))
            .filter(story::Column::Url.eq(url))
            .into_tuple()
            .one(&self.tx)
            .await?;
        match existing {
            Some(existing) if Some(StoryId(existing)) != id => {
                Err(Refusal::already_exists("url", existing))
            }
            _ => Ok(()),
        }
    }

    async fn refuse_taken_ids(
        &self,
        story: Option<StoryId>,
        progress: Option<ProgressId>,
    ) -> Result<(), Error> {
        let key = |id| (self.user.as_str().to_owned(), id);
        if let Some(StoryId(id)) = story
            && story::Entity::find_by_id(key(id))
                .one(&self.tx)
                .await?
                .is_some()
        {
            return Err(Refusal::already_exists("storyId", id));
        }
        if let Some(ProgressId(id)) = progress
            && progress::Entity::find_by_id(key(id))
                .one(&self.tx)
                .await?
                .is_some()
        {
            return Err(Refusal::already_exists("progressId", id));
        }
        Ok(())
    }
}

/// Refuses sets of labels that exceed the limit only after the merge. The input is valid, so the same change may succeed
/// later.
fn refuse_merged_labels(change: &StoryPatch, after: &StoryState) -> Result<(), Error> {
    for (kind, asked, merged) in [
        (LabelKind::Tag, &change.tag_ids, &after.tag_ids),
        (LabelKind::Fandom, &change.fandom_ids, &after.fandom_ids),
    ] {
        let is_allowed = |ids: &BTreeSet<LabelId>| ids.len() <= StoryState::MAX_LABELS;
        if asked.as_ref().is_some_and(is_allowed) && !is_allowed(merged) {
            let (field, most) = (kind.ids_field(), StoryState::MAX_LABELS);
            return Err(Refusal::limit_reached(field, "a story", most));
        }
    }
    Ok(())
}
