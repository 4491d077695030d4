//! Progresses.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};
use time::OffsetDateTime;

use super::Story;
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{self, Entry, Error},
};

/// Where you stand with a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::ProgressStatus")]
pub(in crate::graphql) enum ReadingStatus {
    /// Not begun.
    NotStarted,
    /// Being read.
    Reading,
    /// Set aside for a while.
    Paused,
    /// Read to the end.
    Completed,
    /// Given up.
    Dropped,
}

/// An entry of your library: how far you have read a story, and what you think of it.
pub(in crate::graphql) struct Progress {
    row: library::Progress,
    story: KnownStory,
    batch: Arc<Batch>,
}

/// What is known of a progress's story.
enum KnownStory {
    /// Nothing: it is loaded when asked for.
    No,
    /// Its row.
    Row(Arc<library::Story>),
    /// All, by a write.
    Entry(Box<Entry>),
}

impl From<library::Progress> for Progress {
    fn from(progress: library::Progress) -> Self {
        let batch = Arc::new(Batch::of_stories([progress.story_id]));
        Self::new(progress, &batch)
    }
}

impl Progress {
    /// The progress of a story of the batch.
    pub(super) fn new(progress: library::Progress, batch: &Arc<Batch>) -> Self {
        Self::with_story(progress, None, batch)
    }

    /// The same, with its story if that was read along.
    pub(super) fn with_story(
        progress: library::Progress,
        story: Option<library::Story>,
        batch: &Arc<Batch>,
    ) -> Self {
        let story = story.map_or(KnownStory::No, |story| KnownStory::Row(Arc::new(story)));
        let batch = Arc::clone(batch);
        Self {
            row: progress,
            story,
            batch,
        }
    }

    /// The progress of an entry that a write made or changed.
    pub(super) fn of(entry: Entry) -> Option<Self> {
        let progress = Self::from(entry.progress.clone()?);
        Some(Self {
            story: KnownStory::Entry(Box::new(entry)),
            ..progress
        })
    }
}

#[Object]
impl Progress {
    /// Its id, a UUID.
    async fn id(&self) -> ID {
        self.row.id.to_string().into()
    }

    /// The id of the story it is about.
    async fn story_id(&self) -> ID {
        self.row.story_id.to_string().into()
    }

    /// The story it is about.
    async fn story(&self, ctx: &Context<'_>) -> Result<Story, Error> {
        match &self.story {
            KnownStory::Entry(entry) => return Ok(Entry::clone(entry).into()),
            KnownStory::Row(story) => return Ok(Story::new(Arc::clone(story), &self.batch)),
            KnownStory::No => {}
        }
        let story = self.batch.story(ctx.caller(), self.row.story_id);
        let story = story.await?;
        // The database lets no progress stand without its story; one that is gone was deleted between two reads.
        let gone = || Error::unavailable("the entry was deleted while it was read");
        let story = story.map(|story| Story::new(story, &self.batch));
        story.ok_or_else(gone)
    }

    /// Where you stand.
    async fn reading_status(&self) -> ReadingStatus {
        self.row.state.status.into()
    }

    /// The last chapter you read, 0 for none.
    async fn current_chapter(&self) -> i32 {
        self.row.state.current_chapter
    }

    /// Your rating, from 0.0 to 5.0 in tenths.
    async fn rating(&self) -> Option<f64> {
        self.row.state.rating.map(library::Rating::stars)
    }

    /// Your notes.
    async fn notes(&self, ctx: &Context<'_>) -> Option<&str> {
        let notes = self.row.state.notes.as_deref()?;
        ctx.caller().allowance.spend(notes.len()).await;
        Some(notes)
    }

    /// The library version at which it last changed.
    async fn stamp(&self) -> i32 {
        self.row.stamp.number()
    }

    /// When it was added.
    async fn created_at(&self) -> OffsetDateTime {
        self.row.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> OffsetDateTime {
        self.row.updated_at
    }
}
