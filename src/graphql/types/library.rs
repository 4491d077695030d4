//! The library as a whole.

use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};

use tokio::sync::OnceCell;

use super::{Fandom, Head, Tag, list::List, page::page_size};
use crate::{
    graphql::context::{Caller, CallerExt as _},
    library::{self, Error, Label, LabelKind},
    version::{self, Version},
};

/// Number of labels at the top where `first` is absent or null.
const TOP: i32 = 10;

/// The library of the viewer, as the API shows it. What is not known yet is read when it is selected.
#[derive(Default)]
pub(in crate::graphql) struct Library {
    /// The head that a mutation has just made.
    written: Option<version::Head>,
    read: OnceCell<(version::Head, Version)>,
}

impl From<version::Head> for Library {
    /// The library after a mutation that ended at this head.
    fn from(head: version::Head) -> Self {
        Self {
            written: Some(head),
            ..Self::default()
        }
    }
}

impl Library {
    /// The head and the floor.
    async fn read(&self, ctx: &Context<'_>) -> Result<(version::Head, Version), Error> {
        let caller = ctx.caller();
        let read = || caller.library.head_and_floor(&caller.viewer.user);
        self.read.get_or_try_init(read).await.copied()
    }

    async fn present(&self, ctx: &Context<'_>) -> Result<version::Head, Error> {
        match self.written {
            Some(head) => Ok(head),
            None => Ok(self.read(ctx).await?.0),
        }
    }

    /// The id of the viewer's library. Not the viewer's own, because an id names one object alone.
    pub fn id_of(caller: &Caller) -> String {
        format!("library:{}", caller.viewer.user.as_str())
    }
}

/// The library of the signed-in user: all stories, progress, tags and fandoms.
#[Object]
impl Library {
    /// Opaque id of the library, unique among all objects of the API.
    pub(super) async fn id(&self, ctx: &Context<'_>) -> ID {
        Self::id_of(ctx.caller()).into()
    }

    /// Version of the library: from 1, and 1 more with each change. It belongs to the epoch.
    async fn version(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        Ok(self.present(ctx).await?.version.number())
    }

    /// Epoch that the version belongs to. A new epoch begins when the library is restored from a backup. A copy of
    /// another epoch is stale at any version.
    async fn epoch(&self, ctx: &Context<'_>) -> Result<ID, Error> {
        Ok(self.present(ctx).await?.epoch.to_string().into())
    }

    /// Head of the library: `version` with its epoch.
    async fn head(&self, ctx: &Context<'_>) -> Result<Head, Error> {
        Ok(self.present(ctx).await?.into())
    }

    /// Oldest `since` for which `libraryChanges` has changes. Older copies are reset.
    async fn floor(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        Ok(self.read(ctx).await?.1.number())
    }

    /// Counts over the whole library.
    async fn stats(&self, ctx: &Context<'_>) -> Result<LibraryStats, Error> {
        let caller = ctx.caller();
        let stats = caller.library.stats(&caller.viewer.user).await?;
        Ok(stats.into())
    }
}

/// Counts over the whole library. All but `topTags` and `topFandoms` are of one version.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(in crate::graphql) struct LibraryStats {
    /// Version of the library that was counted.
    version: i32,
    /// Number of stories, each of which has one progress.
    story_count: i32,
    /// Number of entries by reading status.
    reading_status_counts: ReadingStatusCounts,
    /// Number of entries with a rating.
    rated_count: i32,
    /// Mean rating, from 0.0 to 5.0. Null means that no entry is rated.
    average_rating: Option<f64>,
    /// Number of entries with notes.
    with_notes_count: i32,
    /// Number of stories that are not safe for work.
    nsfw_count: i32,
    /// Sum of `currentChapter` over all entries. A whole number, which may exceed the range of `Int`.
    read_chapter_count: f64,
    /// Sum of `chapterCount` over all stories. A whole number, which may exceed the range of `Int`.
    chapter_count: f64,
    /// Sum of `wordCount` over all stories. A whole number, which may exceed the range of `Int`.
    word_count: f64,
    /// Number of tags, with those that no story carries.
    tag_count: i32,
    /// Number of fandoms, with those that no story carries.
    fandom_count: i32,
}

/// Number of entries by reading status.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ReadingStatusCounts {
    /// Number of entries with the status NOT_STARTED.
    not_started: i32,
    /// Number of entries with the status READING.
    reading: i32,
    /// Number of entries with the status PAUSED.
    paused: i32,
    /// Number of entries with the status COMPLETED.
    completed: i32,
    /// Number of entries with the status DROPPED.
    dropped: i32,
    /// Number of entries with the status PLAN_TO_READ.
    plan_to_read: i32,
    /// Number of entries with the status DROPPED_AS_ABANDONED.
    dropped_as_abandoned: i32,
}

#[ComplexObject]
impl LibraryStats {
    /// Tags on the most stories, in descending order of `storyCount`. Tags on no story are left out.
    async fn top_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(TOP)",
            desc = "Number of labels, at most 100 unless the server is configured otherwise. Null means 10."
        )]
        first: Option<i32>,
    ) -> Result<List<Tag>, Error> {
        let labels = top(ctx, LabelKind::Tag, first).await?;
        Ok(Tag::list(labels))
    }

    /// Fandoms of the most stories, in descending order of `storyCount`. Fandoms of no story are left out.
    async fn top_fandoms(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(TOP)",
            desc = "Number of labels, at most 100 unless the server is configured otherwise. Null means 10."
        )]
        first: Option<i32>,
    ) -> Result<List<Fandom>, Error> {
        let labels = top(ctx, LabelKind::Fandom, first).await?;
        Ok(Fandom::list(labels))
    }
}

async fn top(ctx: &Context<'_>, kind: LabelKind, first: Option<i32>) -> Result<Vec<Label>, Error> {
    let caller = ctx.caller();
    let first = page_size(first.unwrap_or(TOP), caller.limits.max_page)?;
    caller
        .library
        .top_labels(&caller.viewer.user, kind, first)
        .await
}

impl From<library::Stats> for LibraryStats {
    fn from(stats: library::Stats) -> Self {
        Self {
            version: stats.version.number(),
            story_count: int(stats.stories),
            reading_status_counts: ReadingStatusCounts {
                not_started: int(stats.by_status.not_started),
                reading: int(stats.by_status.reading),
                paused: int(stats.by_status.paused),
                completed: int(stats.by_status.completed),
                dropped: int(stats.by_status.dropped),
                plan_to_read: int(stats.by_status.plan_to_read),
                dropped_as_abandoned: int(stats.by_status.dropped_as_abandoned),
            },
            rated_count: int(stats.rated),
            average_rating: stats.average_rating,
            with_notes_count: int(stats.with_notes),
            nsfw_count: int(stats.nsfw),
            read_chapter_count: whole(stats.chapters_read),
            chapter_count: whole(stats.chapters),
            word_count: whole(stats.words),
            tag_count: int(stats.tags),
            fandom_count: int(stats.fandoms),
        }
    }
}

fn int(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact to 2^53, which is millions of entries of the largest counts"
)]
fn whole(count: i64) -> f64 {
    count as f64
}
