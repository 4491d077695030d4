//! Stories.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};
use time::OffsetDateTime;

use super::{Fandom, Progress, Tag};
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
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
pub(in crate::graphql) enum PublicationStatus {
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
    row: Arc<library::Story>,
    /// What a write already knows. Of a story that was read, these are loaded when asked for.
    known: Option<Known>,
    batch: Arc<Batch>,
}

/// What is known of a story's progress: nothing yet, or what it is.
enum KnownProgress {
    No,
    Is(Option<library::Progress>),
}

struct Known {
    tags: Vec<Arc<Label>>,
    fandoms: Vec<Arc<Label>>,
    progress: KnownProgress,
}

impl From<library::Story> for Story {
    fn from(story: library::Story) -> Self {
        let batch = Arc::new(Batch::of_stories([story.id]));
        Self::new(Arc::new(story), &batch)
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
        let batch = Batch::of_stories([story.id])
            .with_labels(LabelKind::Tag, &tags)
            .with_labels(LabelKind::Fandom, &fandoms);
        let progress = KnownProgress::Is(progress);
        Self::known(story, tags, fandoms, progress, &Arc::new(batch))
    }
}

impl Story {
    /// A story of the batch.
    pub(super) fn new(story: Arc<library::Story>, batch: &Arc<Batch>) -> Self {
        Self {
            row: story,
            known: None,
            batch: Arc::clone(batch),
        }
    }

    /// A story of the batch whose labels, also of the batch, are known.
    pub(super) fn with_labels(
        story: library::Story,
        tags: Vec<Label>,
        fandoms: Vec<Label>,
        batch: &Arc<Batch>,
    ) -> Self {
        Self::known(story, tags, fandoms, KnownProgress::No, batch)
    }

    fn known(
        story: library::Story,
        tags: Vec<Label>,
        fandoms: Vec<Label>,
        progress: KnownProgress,
        batch: &Arc<Batch>,
    ) -> Self {
        let shared = |labels: Vec<Label>| labels.into_iter().map(Arc::new).collect();
        Self {
            row: Arc::new(story),
            known: Some(Known {
                tags: shared(tags),
                fandoms: shared(fandoms),
                progress,
            }),
            batch: Arc::clone(batch),
        }
    }

    async fn labels(&self, ctx: &Context<'_>, kind: LabelKind) -> Result<Vec<Arc<Label>>, Error> {
        match (&self.known, kind) {
            (Some(known), LabelKind::Tag) => Ok(known.tags.clone()),
            (Some(known), LabelKind::Fandom) => Ok(known.fandoms.clone()),
            (None, kind) => {
                let batch = &self.batch;
                batch.labels_of(ctx.caller(), kind, self.row.id).await
            }
        }
    }

    /// A text in the answer.
    async fn text<'t>(&self, ctx: &Context<'_>, text: &'t str) -> &'t str {
        ctx.caller().allowance.spend(text.len()).await;
        text
    }

    async fn prose<'t>(&self, ctx: &Context<'_>, text: Option<&'t String>) -> Option<&'t str> {
        Some(self.text(ctx, text?).await)
    }
}

#[Object]
impl Story {
    /// Its id, a UUID.
    async fn id(&self) -> ID {
        self.row.id.to_string().into()
    }

    /// Its title.
    async fn title(&self, ctx: &Context<'_>) -> &str {
        self.text(ctx, &self.row.content.title).await
    }

    /// Its author, "Unknown" when you gave none.
    async fn author(&self, ctx: &Context<'_>) -> &str {
        self.text(ctx, &self.row.content.author).await
    }

    /// Its address, which appears once in your library.
    async fn url(&self, ctx: &Context<'_>) -> &str {
        self.text(ctx, &self.row.content.url).await
    }

    /// Where it is published.
    async fn source(&self) -> StorySource {
        self.row.content.source.into()
    }

    /// Whether its author still writes it.
    async fn publication_status(&self) -> PublicationStatus {
        self.row.content.status.into()
    }

    /// The blurb.
    async fn description(&self, ctx: &Context<'_>) -> Option<&str> {
        self.prose(ctx, self.row.content.description.as_ref()).await
    }

    /// Your own summary.
    async fn summary(&self, ctx: &Context<'_>) -> Option<&str> {
        self.prose(ctx, self.row.content.summary.as_ref()).await
    }

    /// How many chapters are out.
    async fn chapter_count(&self) -> Option<i32> {
        self.row.content.chapter_count
    }

    /// How many words are out.
    async fn word_count(&self) -> Option<i32> {
        self.row.content.word_count
    }

    /// Whether it is not safe for work.
    async fn is_nsfw(&self) -> bool {
        self.row.content.is_nsfw
    }

    /// Its tags, by name.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<Tag>, Error> {
        let labels = self.labels(ctx, LabelKind::Tag).await?.into_iter();
        Ok(labels.map(|label| Tag::new(label, &self.batch)).collect())
    }

    /// Its fandoms, by name.
    async fn fandoms(&self, ctx: &Context<'_>) -> Result<Vec<Fandom>, Error> {
        let labels = self.labels(ctx, LabelKind::Fandom).await?.into_iter();
        Ok(labels
            .map(|label| Fandom::new(label, &self.batch))
            .collect())
    }

    /// How far you have read it.
    async fn progress(&self, ctx: &Context<'_>) -> Option<Result<Progress, Error>> {
        let progress = match &self.known {
            Some(Known {
                progress: KnownProgress::Is(progress),
                ..
            }) => Ok(progress.clone()),
            _ => self.batch.progress(ctx.caller(), self.row.id).await,
        };
        progress
            .transpose()
            .map(|progress| Ok(Progress::new(progress?, &self.batch)))
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
