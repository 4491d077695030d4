//! Stories.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};

use super::{Fandom, Progress, Tag, date_time::DateTime, list::List};
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{self, Entry, Error, Label, LabelKind},
};

/// Site on which a story is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Source")]
pub(in crate::graphql) enum StorySource {
    /// Archive of Our Own, archiveofourown.org.
    ArchiveOfOurOwn,
    /// FanFiction.Net, fanfiction.net.
    #[graphql(name = "FANFICTION_NET")]
    FanFictionNet,
    /// Wattpad, wattpad.com.
    Wattpad,
    /// SpaceBattles, forums.spacebattles.com.
    SpaceBattles,
    /// Sufficient Velocity, forums.sufficientvelocity.com.
    SufficientVelocity,
    /// Questionable Questing, forum.questionablequesting.com.
    QuestionableQuesting,
    /// Royal Road, royalroad.com.
    RoyalRoad,
    /// WebNovel, webnovel.com.
    WebNovel,
    /// Scribble Hub, scribblehub.com.
    ScribbleHub,
    /// NovelBin, novelbin.com.
    NovelBin,
    /// Any other site, or none.
    Other,
}

/// Publication status of a story: whether the author still writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::StoryStatus")]
pub(in crate::graphql) enum PublicationStatus {
    /// The author still writes it, and new chapters are expected.
    Ongoing,
    /// The last chapter is published.
    Completed,
    /// The author has paused.
    Hiatus,
    /// The author has given it up, and no more chapters are expected.
    Abandoned,
    /// It is not known whether the author still writes it.
    Unknown,
}

/// A story, as the API shows it.
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

/// A work that the user follows. Deleting its progress deletes it.
#[Object]
impl Story {
    /// UUID of the story, unique among all rows of the library.
    pub(super) async fn id(&self) -> ID {
        self.row.id.to_string().into()
    }

    /// Title of 1 to 500 characters.
    async fn title(&self, ctx: &Context<'_>) -> &str {
        self.text(ctx, &self.row.content.title).await
    }

    /// Author, at most 200 characters. "Unknown" when none was given.
    async fn author(&self, ctx: &Context<'_>) -> &str {
        self.text(ctx, &self.row.content.author).await
    }

    /// Address of the story: an http or https URL, or a URN. No other story of the library has it.
    async fn url(&self, ctx: &Context<'_>) -> &str {
        self.text(ctx, &self.row.content.url).await
    }

    /// Site on which the story is published.
    async fn source(&self) -> StorySource {
        self.row.content.source.into()
    }

    /// Publication status.
    async fn publication_status(&self) -> PublicationStatus {
        self.row.content.status.into()
    }

    /// Description by its author or site, at most 10,000 characters. Null means none.
    async fn description(&self, ctx: &Context<'_>) -> Option<&str> {
        self.prose(ctx, self.row.content.description.as_ref()).await
    }

    /// The user's own summary, at most 10,000 characters. Null means none.
    async fn summary(&self, ctx: &Context<'_>) -> Option<&str> {
        self.prose(ctx, self.row.content.summary.as_ref()).await
    }

    /// Number of published chapters. Null means unknown.
    async fn chapter_count(&self) -> Option<i32> {
        self.row.content.chapter_count
    }

    /// Number of published words. Null means unknown.
    async fn word_count(&self) -> Option<i32> {
        self.row.content.word_count
    }

    /// Whether the story is not safe for work.
    async fn is_nsfw(&self) -> bool {
        self.row.content.is_nsfw
    }

    /// Tags of the story, at most 100, ordered by name.
    async fn tags(&self, ctx: &Context<'_>) -> Result<List<Tag>, Error> {
        let labels = self.labels(ctx, LabelKind::Tag).await?.into_iter();
        Ok(labels.map(|label| Tag::new(label, &self.batch)).collect())
    }

    /// Fandoms of the story, at most 100, ordered by name.
    async fn fandoms(&self, ctx: &Context<'_>) -> Result<List<Fandom>, Error> {
        let labels = self.labels(ctx, LabelKind::Fandom).await?.into_iter();
        Ok(labels
            .map(|label| Fandom::new(label, &self.batch))
            .collect())
    }

    /// Progress of the story. Null only for a story that an older application stored without one.
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

    /// Library version at which the story last changed. Gaining or losing a label is a change of the story.
    async fn stamp(&self) -> i32 {
        self.row.stamp.number()
    }

    /// Time at which the story was created.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// Time at which the story last changed.
    async fn updated_at(&self) -> DateTime {
        self.row.updated_at.into()
    }
}
