//! Entries as lines of a file: the format of import and export.
//!
//! A line contains the visible content of an entry, with labels by name. It contains no id, version or time, which are
//! specific to a library.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    id::{ProgressId, StoryId},
    label::{LabelKind, LabelName},
    progress::{ProgressState, ProgressStatus, Rating},
    source::Source,
    story::{StoryContent, StoryState, StoryStatus},
    story_url::parse_url,
};
use crate::library::error::Error;

/// An entry as a line. Absent fields take their defaults.
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
    /// Detected from the url if absent.
    pub source: Option<Source>,
    pub publication_status: Option<StoryStatus>,
    pub description: Option<String>,
    pub summary: Option<String>,
    pub chapter_count: Option<i32>,
    pub word_count: Option<i32>,
    pub is_nsfw: Option<bool>,
    /// By name.
    pub tags: Vec<String>,
    /// By name.
    pub fandoms: Vec<String>,
    pub reading_status: Option<ProgressStatus>,
    pub current_chapter: Option<i32>,
    /// In stars.
    pub rating: Option<f64>,
    pub notes: Option<String>,
}

/// The outcome of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportOutcome {
    /// The entry was added.
    Imported(StoryId, ProgressId),
    /// The url is in the library, or in an earlier line. `None` if another app made the story without a progress.
    Duplicate(StoryId, Option<ProgressId>),
    /// The line breaks a rule.
    Invalid {
        /// The field at fault, in GraphQL's spelling.
        field: String,
        /// The rule.
        message: String,
    },
}

/// The outcome of each line, in order.
///
/// Stored with run-length encoding: consecutive lines with equal outcomes and consecutive ids store only the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct ImportOutcomes(pub Vec<ImportOutcome>);

impl IntoIterator for ImportOutcomes {
    type Item = ImportOutcome;
    type IntoIter = std::vec::IntoIter<ImportOutcome>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The stored form of outcomes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// The number of lines, and the outcome of the first.
    Runs { runs: Vec<(u32, ImportOutcome)> },
    /// The format of older servers.
    Each(Vec<ImportOutcome>),
}

impl From<ImportOutcomes> for Kept {
    fn from(outcomes: ImportOutcomes) -> Self {
        let mut runs: Vec<(u32, ImportOutcome)> = Vec::new();
        for outcome in outcomes {
            match runs.last_mut() {
                Some((count, first)) if first.after(*count) == outcome => *count += 1,
                _ => runs.push((1, outcome)),
            }
        }
        Self::Runs { runs }
    }
}

impl From<Kept> for ImportOutcomes {
    fn from(kept: Kept) -> Self {
        Self(match kept {
            Kept::Each(outcomes) => outcomes,
            Kept::Runs { runs } => runs
                .into_iter()
                .flat_map(|(count, first)| (0..count).map(move |nth| first.after(nth)))
                .collect(),
        })
    }
}

impl ImportOutcome {
    /// Returns the outcome `lines` after this one in a run.
    fn after(&self, lines: u32) -> Self {
        // A story and its progress take two consecutive ids.
        let later = |id: Uuid| Uuid::from_u128(id.as_u128().wrapping_add(2 * u128::from(lines)));
        match self {
            Self::Imported(story, progress) => {
                Self::Imported(StoryId(later(story.0)), ProgressId(later(progress.0)))
            }
            Self::Duplicate(story, progress) => Self::Duplicate(
                StoryId(later(story.0)),
                progress.map(|progress| ProgressId(later(progress.0))),
            ),
            Self::Invalid { .. } => self.clone(),
        }
    }
}

/// A validated line.
#[derive(Clone)]
pub(in crate::library) struct SoundLine {
    pub story: StoryContent,
    pub progress: ProgressState,
    pub labels: [(LabelKind, Vec<LabelName>); 2],
}

/// Lines after their checks, which run before the transaction begins because thousands take time.
#[derive(Clone)]
pub struct CheckedLines(pub(in crate::library) Vec<Result<SoundLine, Error>>);

impl From<Vec<EntryLine>> for CheckedLines {
    fn from(lines: Vec<EntryLine>) -> Self {
        Self(lines.into_iter().map(EntryLine::check).collect())
    }
}

impl EntryLine {
    /// Returns the first invalid field and the rule that it breaks.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        match self.clone().check() {
            Err(Error::Invalid { field, message }) => Some((field, message)),
            _ => None,
        }
    }

    /// Checks every rule that does not depend on the database.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first invalid field.
    pub(in crate::library) fn check(self) -> Result<SoundLine, Error> {
        let (url, parsed) = parse_url(&self.url)?;
        let state = StoryState {
            content: StoryContent {
                title: self.title,
                author: self.author.unwrap_or_default(),
                url,
                source: self.source.unwrap_or_else(|| Source::of(&parsed)),
                status: self.publication_status.unwrap_or_default(),
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
            status: self.reading_status.unwrap_or_default(),
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
        let rule = format!("at most {} labels", StoryState::MAX_LABELS);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::model::id;

    fn outcomes() -> Vec<ImportOutcome> {
        let mut ids = id::series();
        let mut imported = || ImportOutcome::Imported(StoryId(ids()), ProgressId(ids()));
        let invalid = |message: &str| ImportOutcome::Invalid {
            field: "url".to_owned(),
            message: message.to_owned(),
        };
        let alone = ImportOutcome::Duplicate(StoryId::fresh(), None);
        let mut outcomes = vec![imported(), imported(), alone.clone(), alone, imported()];
        outcomes.extend([invalid("a"), invalid("a"), invalid("b"), imported()]);
        outcomes
    }

    #[test]
    fn stored_outcomes_round_trip() {
        let outcomes = ImportOutcomes(outcomes());
        let kept = serde_json::to_string(&outcomes).unwrap();
        assert_eq!(
            serde_json::from_str::<ImportOutcomes>(&kept).unwrap(),
            outcomes
        );
        assert!(ImportOutcomes(Vec::new()) == serde_json::from_str(r#"{"runs":[]}"#).unwrap());
    }

    #[test]
    fn the_outcomes_of_older_servers_are_read() {
        let kept = serde_json::to_string(&outcomes()).unwrap();
        assert_eq!(
            serde_json::from_str::<ImportOutcomes>(&kept).unwrap().0,
            outcomes_again(&kept)
        );
    }

    fn outcomes_again(kept: &str) -> Vec<ImportOutcome> {
        serde_json::from_str(kept).unwrap()
    }

    #[test]
    fn a_run_of_consecutive_outcomes_is_stored_once() {
        let mut ids = id::series();
        let pairs: Vec<_> = (0..5_000)
            .map(|_| (StoryId(ids()), ProgressId(ids())))
            .collect();
        let made = pairs
            .iter()
            .map(|(story, progress)| ImportOutcome::Imported(*story, *progress));
        let found = pairs
            .iter()
            .map(|(story, progress)| ImportOutcome::Duplicate(*story, Some(*progress)));
        for outcomes in [made.collect::<Vec<_>>(), found.collect()] {
            assert!(
                serde_json::to_string(&ImportOutcomes(outcomes))
                    .unwrap()
                    .len()
                    < 200
            );
        }
    }
}
