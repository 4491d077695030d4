//! Stories.

use async_graphql::{Context, Enum, ID, Object};
use time::OffsetDateTime;

use super::{Fandom, Progress, Tag};
use crate::{
    graphql::context::{CallerExt as _, LabelsOf, ProgressOf},
    library::{self, Entry, Error, Label, LabelKind},
};

/// Where a story is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Source")]
pub(in crate::graphql) enum StorySource {
    ArchiveOfOurOwn,
    #[graphql(name = "FANFICTION_NET")]
    FanFictionNet,
    Wattpad,
    SpaceBattles,
    SufficientVelocity,
    QuestionableQuesting,
    RoyalRoad,
    WebNovel,
    ScribbleHub,
    NovelBin,
    /// Any other site.
    Other,
}

/// Whether a story's author still writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::StoryStatus")]
pub(in crate::graphql) enum StoryStatus {
    /// New chapters are expected.
    Ongoing,
    /// The last chapter is out.
    Completed,
    /// The author has paused.
    Hiatus,
    /// No more is expected.
    Abandoned,
}

/// A work that you follow.
pub(in crate::graphql) struct Story {
    story: library::Story,
    /// What a write already knows. Of a story that was read, these are loaded when asked for.
    known: Option<Known>,
}

/// What is known of a story's progress: nothing yet, or what it is.
enum KnownProgress {
    No,
    Is(Option<library::Progress>),
}

struct Known {
    tags: Vec<Label>,
    fandoms: Vec<Label>,
    progress: KnownProgress,
}

impl From<library::Story> for Story {
    fn from(story: library::Story) -> Self {
        Self { story, known: None }
    }
}

impl From<Entry> for Story {
    fn from(entry: Entry) -> Self {
        let Entry {
            story,
            tags,
            fandoms,
            progress,
        } = entry;
        Self {
            story,
            known: Some(Known {
                tags,
                fandoms,
                progress: KnownProgress::Is(progress),
            }),
        }
    }
}

impl Story {
    /// A story whose labels are known.
    pub(super) fn with_labels(
        story: library::Story,
        tags: Vec<Label>,
        fandoms: Vec<Label>,
    ) -> Self {
        Self {
            story,
            known: Some(Known {
                tags,
                fandoms,
                progress: KnownProgress::No,
            }),
        }
    }

    async fn labels(&self, ctx: &Context<'_>, kind: LabelKind) -> Result<Vec<Label>, Error> {
        match (&self.known, kind) {
            (Some(known), LabelKind::Tag) => Ok(known.tags.clone()),
            (Some(known), LabelKind::Fandom) => Ok(known.fandoms.clone()),
            (None, kind) => {
                let key = LabelsOf(kind, self.story.id);
                Ok(ctx.caller().rows.load_one(key).await?.unwrap_or_default())
            }
        }
    }
}

#[Object]
impl Story {
    /// Its id, a UUID.
    async fn id(&self) -> ID {
        self.story.id.to_string().into()
    }

    /// Its title.
    async fn title(&self) -> &str {
        &self.story.content.title
    }

    /// Its author, "Unknown" when you gave none.
    async fn author(&self) -> &str {
        &self.story.content.author
    }

    /// Its address, which appears once in your library.
    async fn url(&self) -> &str {
        &self.story.content.url
    }

    /// Where it is published.
    async fn source(&self) -> StorySource {
        self.story.content.source.into()
    }

    /// Whether its author still writes it.
    async fn status(&self) -> StoryStatus {
        self.story.content.status.into()
    }

    /// The blurb.
    async fn description(&self) -> Option<&str> {
        self.story.content.description.as_deref()
    }

    /// Your own summary.
    async fn summary(&self) -> Option<&str> {
        self.story.content.summary.as_deref()
    }

    /// How many chapters are out.
    async fn chapter_count(&self) -> Option<i32> {
        self.story.content.chapter_count
    }

    /// How many words are out.
    async fn word_count(&self) -> Option<i32> {
        self.story.content.word_count
    }

    /// Whether it is not safe for work.
    async fn is_nsfw(&self) -> bool {
        self.story.content.is_nsfw
    }

    /// Its tags, by name.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<Tag>, Error> {
        Ok(self
            .labels(ctx, LabelKind::Tag)
            .await?
            .into_iter()
            .map(Tag)
            .collect())
    }

    /// Its fandoms, by name.
    async fn fandoms(&self, ctx: &Context<'_>) -> Result<Vec<Fandom>, Error> {
        Ok(self
            .labels(ctx, LabelKind::Fandom)
            .await?
            .into_iter()
            .map(Fandom)
            .collect())
    }

    /// How far you have read it.
    async fn progress(&self, ctx: &Context<'_>) -> Option<Result<Progress, Error>> {
        let progress = match &self.known {
            Some(Known {
                progress: KnownProgress::Is(progress),
                ..
            }) => Ok(progress.clone()),
            _ => ctx.caller().rows.load_one(ProgressOf(self.story.id)).await,
        };
        progress
            .transpose()
            .map(|progress| progress.map(Progress::from))
    }

    /// The library version at which it last changed.
    async fn stamp(&self) -> i32 {
        self.story.stamp.number()
    }

    /// When it was added.
    async fn created_at(&self) -> OffsetDateTime {
        self.story.created_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> OffsetDateTime {
        self.story.updated_at
    }
}
