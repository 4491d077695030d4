//! Progresses.

use async_graphql::{Context, Enum, ID, Object};
use time::OffsetDateTime;

use super::Story;
use crate::{
    graphql::context::CallerExt as _,
    library::{self, Entry, Error},
};

/// Where you stand with a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::ProgressStatus")]
pub(in crate::graphql) enum ProgressStatus {
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
    progress: library::Progress,
    story: KnownStory,
}

/// What is known of a progress's story.
enum KnownStory {
    /// Nothing: it is loaded when asked for.
    No,
    /// Its row.
    Row(Box<library::Story>),
    /// All, by a write.
    Entry(Box<Entry>),
}

impl From<library::Progress> for Progress {
    fn from(progress: library::Progress) -> Self {
        Self {
            progress,
            story: KnownStory::No,
        }
    }
}

impl Progress {
    /// A progress that was read, with its story if that was read along.
    pub(super) fn with_story(progress: library::Progress, story: Option<library::Story>) -> Self {
        let story = story.map_or(KnownStory::No, |story| KnownStory::Row(Box::new(story)));
        Self { progress, story }
    }

    /// The progress of an entry that a write made or changed.
    pub(super) fn of(entry: Entry) -> Option<Self> {
        Some(Self {
            progress: entry.progress.clone()?,
            story: KnownStory::Entry(Box::new(entry)),
        })
    }
}

#[Object]
impl Progress {
    /// Its id, a UUID.
    async fn id(&self) -> ID {
        self.progress.id.to_string().into()
    }

    /// The id of the story it is about.
    async fn story_id(&self) -> ID {
        self.progress.story_id.to_string().into()
    }

    /// The story it is about.
    async fn story(&self, ctx: &Context<'_>) -> Result<Story, Error> {
        match &self.story {
            KnownStory::Entry(entry) => return Ok(Entry::clone(entry).into()),
            KnownStory::Row(story) => return Ok(library::Story::clone(story).into()),
            KnownStory::No => {}
        }
        let story = ctx.caller().rows.load_one(self.progress.story_id).await?;
        // The database lets no progress stand without its story; one that is gone was deleted between two reads.
        let gone = || Error::unavailable("the entry was deleted while it was read");
        story.map(Story::from).ok_or_else(gone)
    }

    /// Where you stand.
    async fn status(&self) -> ProgressStatus {
        self.progress.state.status.into()
    }

    /// The last chapter you read, 0 for none.
    async fn current_chapter(&self) -> i32 {
        self.progress.state.current_chapter
    }

    /// Your rating, from 0.0 to 5.0 in tenths.
    async fn rating(&self) -> Option<f64> {
        self.progress.state.rating.map(library::Rating::stars)
    }

    /// Your notes.
    async fn notes(&self) -> Option<&str> {
        self.progress.state.notes.as_deref()
    }

    /// The library version at which it last changed.
    async fn stamp(&self) -> i32 {
        self.progress.stamp.number()
    }

    /// When it was added.
    async fn created_at(&self) -> OffsetDateTime {
        self.progress.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> OffsetDateTime {
        self.progress.updated_at
    }
}
