//! Stories: the works that a user follows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use time::OffsetDateTime;

use super::{
    id::{LabelId, StoryId},
    label::LabelKind,
    source::Source,
    story_url::{self, parse_url},
    text,
};
use crate::{library::error::Error, version::Version};

/// Publication status.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    EnumIter,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StoryStatus {
    /// Chapters are still published.
    #[default]
    Ongoing,
    /// The last chapter is published.
    Completed,
    /// The author has paused.
    Hiatus,
    /// No further chapter is expected.
    Abandoned,
    /// Not known.
    Unknown,
}

/// The row of a story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// Its id.
    pub id: StoryId,
    /// The version at which it last changed.
    pub stamp: Version,
    /// The version that created it; 0 when unknown.
    #[serde(default)]
    pub created_stamp: Version,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Time of the last change.
    pub updated_at: OffsetDateTime,
    /// The fields that a user may change, except labels.
    pub content: StoryContent,
}

/// The columns of a story that a user may change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryContent {
    /// 1 to [`StoryContent::MAX_TITLE`] characters.
    pub title: String,
    /// Up to [`StoryContent::MAX_AUTHOR`] characters; [`StoryContent::UNKNOWN_AUTHOR`] by default.
    pub author: String,
    /// An http or https address or a URN, as typed, up to [`StoryContent::MAX_URL`] bytes. Unique in a library.
    pub url: String,
    /// The site.
    pub source: Source,
    /// Publication status.
    pub status: StoryStatus,
    /// The publisher's description, up to [`StoryContent::MAX_PROSE`] characters.
    pub description: Option<String>,
    /// The user's own summary, up to [`StoryContent::MAX_PROSE`] characters.
    pub summary: Option<String>,
    /// Number of published chapters.
    pub chapter_count: Option<i32>,
    /// Number of published words.
    pub word_count: Option<i32>,
    /// Whether the story is not safe for work.
    pub is_nsfw: bool,
}

impl StoryContent {
    /// Maximum length of a title, in characters.
    pub const MAX_TITLE: usize = 500;
    /// Maximum length of an author, in characters.
    pub const MAX_AUTHOR: usize = 200;
    /// Maximum length of an address, in bytes.
    pub const MAX_URL: usize = story_url::MAX_URL;
    /// Maximum length of a description or summary, in characters.
    pub const MAX_PROSE: usize = 10_000;
    /// The default author.
    pub const UNKNOWN_AUTHOR: &str = "Unknown";

    /// Trims and checks the fields that differ from the stored ones.
    fn tidy(&mut self, stored: Option<&Self>) -> Result<(), Error> {
        let is_new = |differs: fn(&Self, &Self) -> bool, new: &Self| {
            stored.is_none_or(|stored| differs(new, stored))
        };
        if is_new(|a, b| a.title != b.title, self) {
            text::line("title", &mut self.title, Self::MAX_TITLE)?;
        }
        if is_new(|a, b| a.author != b.author, self) {
            if text::is_blank(&self.author) {
                Self::UNKNOWN_AUTHOR.clone_into(&mut self.author);
            }
            text::line("author", &mut self.author, Self::MAX_AUTHOR)?;
        }
        if is_new(|a, b| a.url != b.url, self) {
            self.url = parse_url(&self.url)?.0;
        }
        if is_new(|a, b| a.description != b.description, self) {
            text::prose("description", self.description.as_deref(), Self::MAX_PROSE)?;
        }
        if is_new(|a, b| a.summary != b.summary, self) {
            text::prose("summary", self.summary.as_deref(), Self::MAX_PROSE)?;
        }
        if is_new(|a, b| a.chapter_count != b.chapter_count, self) {
            text::count("chapterCount", self.chapter_count)?;
        }
        if is_new(|a, b| a.word_count != b.word_count, self) {
            text::count("wordCount", self.word_count)?;
        }
        Ok(())
    }
}

/// The fields of a story that a user may change, including its labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryState {
    /// Its columns.
    #[serde(flatten)]
    pub content: StoryContent,
    /// Its tags, up to [`StoryState::MAX_LABELS`].
    pub tag_ids: BTreeSet<LabelId>,
    /// Its fandoms, up to [`StoryState::MAX_LABELS`].
    pub fandom_ids: BTreeSet<LabelId>,
}

impl StoryState {
    /// Maximum tags, and maximum fandoms, per story.
    pub const MAX_LABELS: usize = 100;

    /// Returns its labels of one kind.
    pub(in crate::library) fn label_ids(&self, kind: LabelKind) -> &BTreeSet<LabelId> {
        match kind {
            LabelKind::Tag => &self.tag_ids,
            LabelKind::Fandom => &self.fandom_ids,
        }
    }

    /// Returns its labels of one kind, to change them.
    pub(in crate::library) fn label_ids_mut(&mut self, kind: LabelKind) -> &mut BTreeSet<LabelId> {
        match kind {
            LabelKind::Tag => &mut self.tag_ids,
            LabelKind::Fandom => &mut self.fandom_ids,
        }
    }

    /// Trims single-line texts, and checks every rule that does not depend on the database.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first invalid field.
    pub fn tidy(self) -> Result<Self, Error> {
        self.tidy_since(None)
    }

    /// Trims and checks the fields that differ from those of a stored state, which may break a rule that is newer than it.
    /// A set of labels over the limit may not grow.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first invalid field.
    pub fn tidy_changes(self, stored: &Self) -> Result<Self, Error> {
        self.tidy_since(Some(stored))
    }

    fn tidy_since(mut self, stored: Option<&Self>) -> Result<Self, Error> {
        self.content.tidy(stored.map(|stored| &stored.content))?;
        let held = stored.map_or([0, 0], |stored| {
            [stored.tag_ids.len(), stored.fandom_ids.len()]
        });
        for (field, ids, held) in [
            ("tagIds", &self.tag_ids, held[0]),
            ("fandomIds", &self.fandom_ids, held[1]),
        ] {
            if ids.len() > Self::MAX_LABELS.max(held) {
                let rule = format!("at most {} labels", Self::MAX_LABELS);
                return Err(Error::invalid(field, rule));
            }
        }
        Ok(self)
    }
}

/// The content of a story's tombstone: its row and its labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::library) struct RemovedStory {
    /// The row.
    pub story: Story,
    /// Its tags.
    pub tag_ids: BTreeSet<LabelId>,
    /// Its fandoms.
    pub fandom_ids: BTreeSet<LabelId>,
}

/// A partial change of a [`StoryState`]: an absent field stays, `Some(None)` clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of StoryState")]
pub struct StoryPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StoryStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chapter_count: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word_count: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_nsfw: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_ids: Option<BTreeSet<LabelId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fandom_ids: Option<BTreeSet<LabelId>>,
}
