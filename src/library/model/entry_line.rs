//! Entries as lines of a file: what an import takes and an export gives.
//!
//! A line holds all that a user sees of an entry, and labels by name. It holds no id, version or time: those belong to
//! the library that the entry is in.

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

/// What became of each line, in their order.
///
/// It is kept with fewer words than it has: of lines in a row with the same outcome, whose ids follow each other as an
/// import makes them, only the first is written.
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

/// Outcomes as a receipt keeps them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    /// How many lines, and the outcome of the first.
    Runs { runs: Vec<(u32, ImportOutcome)> },
    /// As older servers wrote them.
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
    /// The outcome of the line so many after this one, if it is as an import makes them.
    fn after(&self, lines: u32) -> Self {
        // A story and its progress have two numbers.
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

/// A line that keeps all rules.
#[derive(Clone)]
pub(in crate::library) struct SoundLine {
    pub story: StoryContent,
    pub progress: ProgressState,
    pub labels: [(LabelKind, Vec<LabelName>); 2],
}

/// Lines of which each was checked. Checking thousands takes time, so it happens before a transaction begins.
#[derive(Clone)]
pub struct CheckedLines(pub(in crate::library) Vec<Result<SoundLine, Error>>);

impl From<Vec<EntryLine>> for CheckedLines {
    fn from(lines: Vec<EntryLine>) -> Self {
        Self(lines.into_iter().map(EntryLine::check).collect())
    }
}

impl EntryLine {
    /// The first field that breaks a rule, and the rule.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        match self.clone().check() {
            Err(Error::Invalid { field, message }) => Some((field, message)),
            _ => None,
        }
    }

    /// Checks every rule that needs no look into the database.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the first field that breaks a rule.
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
    fn kept_outcomes_are_read_as_they_were() {
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
    fn what_an_import_made_and_finds_again_is_kept_in_a_line() {
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
