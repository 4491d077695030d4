//! The library as a whole.

use async_graphql::{ComplexObject, Context, ID, Object, SimpleObject};

use super::{Fandom, Head, Tag, page::page_size};
use crate::{
    graphql::context::CallerExt as _,
    library::{self, Error, Label, LabelKind},
    version::{self, Version},
};

/// Number of labels at the top where `first` is absent or null.
const TOP: i32 = 10;

/// All that you keep.
pub(in crate::graphql) struct Library {
    pub head: version::Head,
    pub floor: Version,
}

#[Object]
impl Library {
    /// Its version, which belongs to its epoch.
    async fn version(&self) -> i32 {
        self.head.version.number()
    }

    /// Which numbering its versions belong to. A new one begins after a restore from a backup; copies of your library
    /// that are of another epoch are worth nothing then.
    async fn epoch(&self) -> ID {
        self.head.epoch.to_string().into()
    }

    /// Its head: `version` with its epoch.
    async fn head(&self) -> Head {
        self.head.into()
    }

    /// The oldest version since which `libraryChanges` can tell what changed.
    async fn floor(&self) -> i32 {
        self.floor.number()
    }

    /// What it comes to.
    async fn stats(&self, ctx: &Context<'_>) -> Result<LibraryStats, Error> {
        let caller = ctx.caller();
        let stats = caller.library.stats(&caller.viewer.user).await?;
        Ok(stats.into())
    }
}

/// What a library comes to. All but the labels at the top was counted at one version.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(in crate::graphql) struct LibraryStats {
    /// The version that was counted.
    version: i32,
    /// How many entries there are.
    story_count: i32,
    /// How many entries there are by where you stand with them.
    reading_status_counts: ReadingStatusCounts,
    /// How many entries you have rated.
    rated_count: i32,
    /// The mean of your ratings; null when there are none.
    average_rating: Option<f64>,
    /// How many entries have notes.
    with_notes_count: i32,
    /// How many stories are not safe for work.
    nsfw_count: i32,
    /// How many chapters you have read. A whole number that may be too large for an `Int`.
    read_chapter_count: f64,
    /// How many chapters are out, over all stories that say. A whole number that may be too large for an `Int`.
    chapter_count: f64,
    /// How many words are out, over all stories that say. A whole number that may be too large for an `Int`.
    word_count: f64,
    /// How many tags there are, on stories or not.
    tag_count: i32,
    /// How many fandoms there are, on stories or not.
    fandom_count: i32,
}

/// Entries by where you stand with them.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ReadingStatusCounts {
    not_started: i32,
    reading: i32,
    paused: i32,
    completed: i32,
    dropped: i32,
}

#[ComplexObject]
impl LibraryStats {
    /// The tags that the most stories carry, those first.
    async fn top_tags(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(TOP)",
            desc = "Number of labels, at most 100 unless the server is configured otherwise. Null means 10."
        )]
        first: Option<i32>,
    ) -> Result<Vec<Tag>, Error> {
        let labels = top(ctx, LabelKind::Tag, first).await?;
        Ok(Tag::list(labels))
    }

    /// The fandoms that the most stories carry, those first.
    async fn top_fandoms(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(TOP)",
            desc = "Number of labels, at most 100 unless the server is configured otherwise. Null means 10."
        )]
        first: Option<i32>,
    ) -> Result<Vec<Fandom>, Error> {
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
