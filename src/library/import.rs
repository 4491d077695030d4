//! Entries as lines of a file: what an import takes and an export gives.
//!
//! A line holds all that a user sees of an entry, and labels by name. It holds no id, version or time: those belong to
//! the library that the entry is in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    LabelKind, LabelName, ProgressId, ProgressState, ProgressStatus, Rating, Source, StoryContent,
    StoryId, StoryState, StoryStatus, error::Error, story::parse_url,
};

/// An entry as a line. What is absent is as if it were made without.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    missing_docs,
    reason = "the fields are those of StoryContent and ProgressState"
)]
pub struct EntryLine {
    pub title: String,
    pub author: Option<String>,
    pub url: String,
    /// Recognized by the url when absent.
    pub source: Option<Source>,
    pub status: Option<StoryStatus>,
    pub description: Option<String>,
    pub summary: Option<String>,
    pub chapter_count: Option<i32>,
    pub word_count: Option<i32>,
    pub is_nsfw: Option<bool>,
    /// By name.
    pub tags: Vec<String>,
    /// By name.
    pub fandoms: Vec<String>,
    pub progress_status: Option<ProgressStatus>,
    pub current_chapter: Option<i32>,
    /// In stars.
    pub rating: Option<f64>,
    pub notes: Option<String>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportOutcome {
    /// It was added.
    Imported(StoryId, ProgressId),
    /// Its url was in the library, or in a line before it. The progress is unknown where another app made none.
    Duplicate(StoryId, Option<ProgressId>),
    /// It breaks a rule.
    Invalid {
        /// The field at fault, as GraphQL spells it.
        field: String,
        /// What the rule is.
        message: String,
    },
}

/// A line that keeps all rules.
pub(super) struct SoundLine {
    pub story: StoryContent,
    pub progress: ProgressState,
    pub labels: [(LabelKind, Vec<LabelName>); 2],
}

impl EntryLine {
    /// Checks every rule that needs no look into the database.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the first field that breaks a rule.
    pub(super) fn check(self) -> Result<SoundLine, Error> {
        let (url, parsed) = parse_url(&self.url)?;
        let state = StoryState {
            content: StoryContent {
                title: self.title,
                author: self.author.unwrap_or_default(),
                url,
                source: self.source.unwrap_or_else(|| Source::of(&parsed)),
                status: self.status.unwrap_or_default(),
                description: self.description,
                summary: self.summary,
                chapter_count: self.chapter_count,
                word_count: self.word_count,
                is_nsfw: self.is_nsfw.unwrap_or_default(),
            },
            tag_ids: BTreeSet::new(),
            fandom_ids: BTreeSet::new(),
        };
        let progress = ProgressState {
            status: self.progress_status.unwrap_or_default(),
            current_chapter: self.current_chapter.unwrap_or_default(),
            rating: self.rating.map(Rating::from_stars).transpose()?,
            notes: self.notes,
        };
        Ok(SoundLine {
            story: state.tidy()?.content,
            progress: progress.tidy()?,
            labels: [
                (LabelKind::Tag, label_names("tags", self.tags)?),
                (LabelKind::Fandom, label_names("fandoms", self.fandoms)?),
            ],
        })
    }
}

fn label_names(field: &'static str, names: Vec<String>) -> Result<Vec<LabelName>, Error> {
    if names.len() > StoryState::MAX_LABELS {
        let rule = format!("at most {} of them", StoryState::MAX_LABELS);
        return Err(Error::invalid(field, rule));
    }
    let name = |name| {
        LabelName::new(name).map_err(|error| match error {
            Error::Invalid { message, .. } => Error::invalid(field, message),
            other => other,
        })
    };
    names.into_iter().map(name).collect()
}
