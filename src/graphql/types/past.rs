//! The library as of an earlier version.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, ID, Object, SimpleObject};

use super::{
    date_time::DateTime,
    list::List,
    page::page_size,
    progress::ReadingStatus,
    story::{PublicationStatus, StorySource},
};
use crate::{
    graphql::context::CallerExt as _,
    library::{self, Error, LabelId, LabelKind, PastEntries, ProgressId, Rating},
    version::Version,
};

/// Number of entries in a page where `first` is absent or null.
const PAGE: i32 = 20;

/// The library as of a version.
pub(in crate::graphql) struct PastLibrary(pub Version);

/// The library as it was at an earlier version.
#[Object]
impl PastLibrary {
    /// Version at which the library is read. The other fields fail if it is not kept.
    async fn version(&self) -> i32 {
        self.0.number()
    }

    /// Page of the entries that the library had, ordered by the UUID of the progress. A page can have fewer entries than
    /// `first` even if another page follows.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(PAGE)",
            desc = "Number of entries, from 0 to 100 unless the server is configured otherwise. Null means 20."
        )]
        first: Option<i32>,
        #[graphql(desc = "`endCursor` of the previous page. Null means from the start.")]
        after: Option<ID>,
    ) -> Result<PastEntryPage, Error> {
        let caller = ctx.caller();
        let first = page_size(first.unwrap_or(PAGE), caller.limits.max_page)?;
        let after = after
            .map(|after| super::id::progress_id("after", &after))
            .transpose()?;
        let user = &caller.viewer.user;
        let page = caller
            .library
            .entries_at(user, self.0, after, first)
            .await?;
        Ok(page.into())
    }

    /// Tags that the library had, ordered by name.
    async fn tags(&self, ctx: &Context<'_>) -> Result<List<PastLabel>, Error> {
        self.labels(ctx, LabelKind::Tag).await
    }

    /// Fandoms that the library had, ordered by name.
    async fn fandoms(&self, ctx: &Context<'_>) -> Result<List<PastLabel>, Error> {
        self.labels(ctx, LabelKind::Fandom).await
    }
}

impl PastLibrary {
    async fn labels(&self, ctx: &Context<'_>, kind: LabelKind) -> Result<List<PastLabel>, Error> {
        let caller = ctx.caller();
        let user = &caller.viewer.user;
        let labels = caller.library.labels_at(user, self.0, kind).await?;
        let bytes = labels.iter().map(|label| label.name.as_str().len()).sum();
        caller.allowance.spend(bytes).await;
        Ok(labels.iter().map(PastLabel::from).collect())
    }
}

/// A page of the entries of an earlier version.
#[derive(SimpleObject)]
pub(in crate::graphql) struct PastEntryPage {
    /// Entries of the page.
    nodes: List<PastEntry>,
    /// Value of `after` for the next page. Null means that this is the last page.
    end_cursor: Option<ID>,
}

/// A tag or a fandom as it was at an earlier version.
#[derive(SimpleObject, Clone)]
pub(in crate::graphql) struct PastLabel {
    /// UUID of the label.
    id: ID,
    /// Name at that version.
    name: String,
}

impl From<&library::PastLabel> for PastLabel {
    fn from(label: &library::PastLabel) -> Self {
        Self {
            id: label.id.to_string().into(),
            name: label.name.as_str().to_owned(),
        }
    }
}

impl From<PastEntries> for PastEntryPage {
    fn from(page: PastEntries) -> Self {
        let labels = page.labels.iter().flatten();
        let labels: HashMap<_, _> = labels.map(|label| (label.id, label.into())).collect();
        let labels = Arc::new(labels);
        let nodes = page.entries.into_iter().map(|entry| PastEntry {
            entry,
            labels: Arc::clone(&labels),
        });
        Self {
            nodes: nodes.collect(),
            end_cursor: page.next.map(|ProgressId(id)| id.to_string().into()),
        }
    }
}

/// An entry as it was, with the labels of its page.
pub(in crate::graphql) struct PastEntry {
    entry: library::PastEntry,
    labels: Arc<HashMap<LabelId, PastLabel>>,
}

/// An entry as it was at an earlier version: a progress and its story.
#[Object]
impl PastEntry {
    /// UUID of the progress.
    async fn progress_id(&self) -> ID {
        self.entry.progress.id.to_string().into()
    }

    /// UUID of the story.
    async fn story_id(&self) -> ID {
        self.entry.story.id.to_string().into()
    }

    /// Time at which the entry was created.
    async fn created_at(&self) -> DateTime {
        self.entry.progress.created_at.into()
    }

    /// Reading status.
    async fn reading_status(&self) -> ReadingStatus {
        self.entry.progress.state.status.into()
    }

    /// Number of the last chapter that was read, from 0, which means none.
    async fn current_chapter(&self) -> i32 {
        self.entry.progress.state.current_chapter
    }

    /// The user's rating, from 0.0 to 5.0 in steps of 0.1. Null means not rated.
    async fn rating(&self) -> Option<f64> {
        self.entry.progress.state.rating.map(Rating::stars)
    }

    /// The user's notes, at most 10,000 characters. Null means none.
    async fn notes(&self, ctx: &Context<'_>) -> Option<&str> {
        text(ctx, self.entry.progress.state.notes.as_deref()).await
    }

    /// Title of the story.
    async fn title(&self, ctx: &Context<'_>) -> Option<&str> {
        text(ctx, Some(&self.entry.story.state.content.title)).await
    }

    /// Author of the story.
    async fn author(&self, ctx: &Context<'_>) -> Option<&str> {
        text(ctx, Some(&self.entry.story.state.content.author)).await
    }

    /// Address of the story.
    async fn url(&self, ctx: &Context<'_>) -> Option<&str> {
        text(ctx, Some(&self.entry.story.state.content.url)).await
    }

    /// Site on which the story is published.
    async fn source(&self) -> StorySource {
        self.entry.story.state.content.source.into()
    }

    /// Publication status of the story.
    async fn publication_status(&self) -> PublicationStatus {
        self.entry.story.state.content.status.into()
    }

    /// Description of the story. Null means none.
    async fn description(&self, ctx: &Context<'_>) -> Option<&str> {
        text(ctx, self.entry.story.state.content.description.as_deref()).await
    }

    /// Summary of the story. Null means none.
    async fn summary(&self, ctx: &Context<'_>) -> Option<&str> {
        text(ctx, self.entry.story.state.content.summary.as_deref()).await
    }

    /// Number of published chapters. Null means unknown.
    async fn chapter_count(&self) -> Option<i32> {
        self.entry.story.state.content.chapter_count
    }

    /// Number of words. Null means unknown.
    async fn word_count(&self) -> Option<i32> {
        self.entry.story.state.content.word_count
    }

    /// Whether the story is not safe for work.
    async fn is_nsfw(&self) -> bool {
        self.entry.story.state.content.is_nsfw
    }

    /// Tags that the story carried, by UUID.
    async fn tags(&self) -> List<PastLabel> {
        self.named(&self.entry.story.state.tag_ids)
    }

    /// Fandoms of the story, by UUID.
    async fn fandoms(&self) -> List<PastLabel> {
        self.named(&self.entry.story.state.fandom_ids)
    }
}

impl PastEntry {
    fn named<'i>(&self, ids: impl IntoIterator<Item = &'i LabelId>) -> List<PastLabel> {
        let labels = ids.into_iter().filter_map(|id| self.labels.get(id));
        labels.cloned().collect()
    }
}

/// Counts a text of the response.
async fn text<'t>(ctx: &Context<'_>, text: Option<&'t str>) -> Option<&'t str> {
    let text = text?;
    ctx.caller().allowance.spend(text.len()).await;
    Some(text)
}
