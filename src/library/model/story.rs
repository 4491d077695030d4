//! The story: a work that a user follows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use time::OffsetDateTime;

use super::{
    id::{LabelId, StoryId},
    source::Source,
    story_url::{self, parse_url},
    text,
};
use crate::{library::error::Error, version::Version};

/// Whether its author still writes it.
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
    /// New chapters are expected.
    #[default]
    Ongoing,
    /// The last chapter is out.
    Completed,
    /// The author has paused.
    Hiatus,
    /// No more is expected.
    Abandoned,
}

/// The row of a story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// Its id.
    pub id: StoryId,
    /// The version at which it last changed.
    pub stamp: Version,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// All that a user may change of it, but its labels.
    pub content: StoryContent,
}

/// The columns of a story that a user may change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryContent {
    /// 1 to [`StoryContent::MAX_TITLE`] characters.
    pub title: String,
    /// Up to [`StoryContent::MAX_AUTHOR`] characters; [`StoryContent::UNKNOWN_AUTHOR`] when not given.
    pub author: String,
    /// An http or https address or a URN as it was typed, up to [`StoryContent::MAX_URL`] bytes, once in a library.
    pub url: String,
    /// The site.
    pub source: Source,
    /// Whether it goes on.
    pub status: StoryStatus,
    /// The blurb, up to [`StoryContent::MAX_PROSE`] characters.
    pub description: Option<String>,
    /// The user's own summary, up to [`StoryContent::MAX_PROSE`] characters.
    pub summary: Option<String>,
    /// Published chapters.
    pub chapter_count: Option<i32>,
    /// Published words.
    pub word_count: Option<i32>,
    /// Not safe for work.
    pub is_nsfw: bool,
}

impl StoryContent {
    /// The longest title, in characters.
    pub const MAX_TITLE: usize = 500;
    /// The longest author, in characters.
    pub const MAX_AUTHOR: usize = 200;
    /// The longest address, in bytes.
    pub const MAX_URL: usize = story_url::MAX_URL;
    /// The longest description or summary, in characters.
    pub const MAX_PROSE: usize = 10_000;
    /// The author of a story whose author is not known.
    pub const UNKNOWN_AUTHOR: &str = "Unknown";

    fn tidy(&mut self) -> Result<(), Error> {
        text::line("title", &mut self.title, Self::MAX_TITLE)?;
        if text::is_blank(&self.author) {
            Self::UNKNOWN_AUTHOR.clone_into(&mut self.author);
        }
        text::line("author", &mut self.author, Self::MAX_AUTHOR)?;
        self.url = parse_url(&self.url)?.0;
        text::prose("description", self.description.as_deref(), Self::MAX_PROSE)?;
        text::prose("summary", self.summary.as_deref(), Self::MAX_PROSE)?;
        text::count("chapterCount", self.chapter_count)?;
        text::count("wordCount", self.word_count)
    }
}

/// All that a user may change of a story: its columns and its sets of labels.
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
    /// The most tags, and the most fandoms, of one story.
    pub const MAX_LABELS: usize = 100;

    /// Trims what is a line, and checks every rule that needs no look into the database.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the first field that breaks a rule.
    pub fn tidy(mut self) -> Result<Self, Error> {
        self.content.tidy()?;
        for (field, ids) in [("tagIds", &self.tag_ids), ("fandomIds", &self.fandom_ids)] {
            if ids.len() > Self::MAX_LABELS {
                return Err(Error::invalid(
                    field,
                    format!("at most {} of them", Self::MAX_LABELS),
                ));
            }
        }
        Ok(self)
    }
}

/// A change of some fields of a [`StoryState`]: an absent field is left alone, `Some(None)` clears.
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
