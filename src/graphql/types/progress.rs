//! Progresses.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};

use super::{Story, date_time::DateTime, list::List};
use crate::{
    graphql::{
        batch::Batch,
        context::{Caller, CallerExt as _},
    },
    library::{self, Entry, Error},
};

/// Reading status of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::ProgressStatus")]
pub(in crate::graphql) enum ReadingStatus {
    /// The story is on the list and was not begun.
    NotStarted,
    /// The story is being read.
    Reading,
    /// Reading was set aside for a while.
    Paused,
    /// The story was read to the end.
    Completed,
    /// The story was given up.
    Dropped,
    /// The user plans to read the story.
    PlanToRead,
    /// The story was given up because its author has abandoned it.
    DroppedAsAbandoned,
}

/// The progress of one story, as the API shows it.
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
    /// Progresses whose stories are loaded together.
    pub fn list(progresses: Vec<library::Progress>) -> List<Self> {
        let batch = Batch::of_stories(progresses.iter().map(|progress| progress.story_id));
        let batch = Arc::new(batch);
        let progresses = progresses.into_iter();
        progresses
            .map(|progress| Self::new(progress, &batch))
            .collect()
    }

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

    /// Loads the story. `None` if it was deleted.
    pub(super) async fn with_present_story(self, caller: &Caller) -> Result<Option<Self>, Error> {
        let story = self.batch.story(caller, self.row.story_id).await?;
        Ok(story.map(|story| Self {
            story: KnownStory::Row(story),
            ..self
        }))
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

/// An entry of the library: how far the user has read a story, with rating and notes. Each story has one.
#[Object]
impl Progress {
    /// UUID of the progress, unique among all rows of the library.
    pub(super) async fn id(&self) -> ID {
        self.row.id.to_string().into()
    }

    /// UUID of the story that the progress is about.
    async fn story_id(&self) -> ID {
        self.row.story_id.to_string().into()
    }

    /// Story that the progress is about.
    async fn story(&self, ctx: &Context<'_>) -> Result<Story, Error> {
        match &self.story {
            KnownStory::Entry(entry) => return Ok(Entry::clone(entry).into()),
            KnownStory::Row(story) => return Ok(Story::new(Arc::clone(story), &self.batch)),
            KnownStory::No => {}
        }
        let story = self.batch.story(ctx.caller(), self.row.story_id);
        let story = story.await?;
        // The database guarantees that a progress has a story. A missing story was deleted between two reads.
        let gone = || Error::unavailable("the entry was deleted while it was read");
        let story = story.map(|story| Story::new(story, &self.batch));
        story.ok_or_else(gone)
    }

    /// Reading status.
    async fn reading_status(&self) -> ReadingStatus {
        self.row.state.status.into()
    }

    /// Number of the last chapter that was read, from 0, which means none.
    async fn current_chapter(&self) -> i32 {
        self.row.state.current_chapter
    }

    /// The user's rating, from 0.0 to 5.0 in steps of 0.1. Null means not rated.
    async fn rating(&self) -> Option<f64> {
        self.row.state.rating.map(library::Rating::stars)
    }

    /// The user's notes, at most 10,000 characters. Null means none.
    async fn notes(&self, ctx: &Context<'_>) -> Option<&str> {
        let notes = self.row.state.notes.as_deref()?;
        ctx.caller().allowance.spend(notes.len()).await;
        Some(notes)
    }

    /// Library version at which the progress last changed.
    async fn stamp(&self) -> i32 {
        self.row.stamp.number()
    }

    /// Time at which the entry was created.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// Time at which the progress last changed.
    async fn updated_at(&self) -> DateTime {
        self.row.updated_at.into()
    }
}
