//! What `importLibrary` answers.

use async_graphql::{Enum, ID, SimpleObject};

use super::{Head, payload::Refusal};
use crate::library::{self, Written};

/// The answer of `importLibrary`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ImportLibraryPayload {
    /// The version of your library after this mutation: 1 more if anything was added, however much it was.
    library_version: i32,
    /// The head of your library after this mutation: `libraryVersion` with its epoch. Send it as the `base` of later
    /// changes.
    library_head: Head,
    /// How many entries were added.
    imported_count: i32,
    /// How many were passed over because their address was there already.
    duplicate_count: i32,
    /// How many were passed over because they break a rule.
    invalid_count: i32,
    /// What became of each entry, in their order; empty when the mutation was refused.
    outcomes: Vec<ImportOutcome>,
    /// Why nothing was changed; null when the mutation was made.
    refusal: Option<Refusal>,
}

/// What became of an entry.
#[derive(SimpleObject)]
struct ImportOutcome {
    /// Its place in the input, from 0.
    index: i32,
    /// What became of it.
    status: ImportStatus,
    /// The story, new or there already; null when the entry is invalid.
    story_id: Option<ID>,
    /// The progress, new or there already; null when the entry is invalid.
    progress_id: Option<ID>,
    /// The field at fault; null when the entry was added.
    field: Option<String>,
    /// What is wrong with it, in words, for a developer; null when the entry was added.
    message: Option<String>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum ImportStatus {
    /// It was added.
    Imported,
    /// Its address was in your library, or in an entry before it.
    Duplicate,
    /// It breaks a rule.
    Invalid,
}

impl From<Written<library::ImportOutcomes>> for ImportLibraryPayload {
    fn from(written: Written<library::ImportOutcomes>) -> Self {
        let (outcomes, refusal) = match written.outcome {
            Ok(outcomes) => (outcomes.0, None),
            Err(refusal) => (Vec::new(), Some(refusal.into())),
        };
        let outcomes: Vec<_> = (0..)
            .zip(outcomes)
            .map(|(index, outcome)| ImportOutcome::new(index, outcome))
            .collect();
        let count = |status| {
            let of = outcomes.iter().filter(|outcome| outcome.status == status);
            i32::try_from(of.count()).unwrap_or(i32::MAX)
        };
        Self {
            library_version: written.head.version.number(),
            library_head: written.head.into(),
            imported_count: count(ImportStatus::Imported),
            duplicate_count: count(ImportStatus::Duplicate),
            invalid_count: count(ImportStatus::Invalid),
            outcomes,
            refusal,
        }
    }
}

impl ImportOutcome {
    fn new(index: i32, outcome: library::ImportOutcome) -> Self {
        use library::ImportOutcome::{Duplicate, Imported, Invalid};
        let (status, story, progress, field, message) = match outcome {
            Imported(story, progress) => (
                ImportStatus::Imported,
                Some(story),
                Some(progress),
                None,
                None,
            ),
            Duplicate(story, progress) => {
                let message = "this url is already in the library".to_owned();
                let field = Some("url".to_owned());
                (
                    ImportStatus::Duplicate,
                    Some(story),
                    progress,
                    field,
                    Some(message),
                )
            }
            Invalid { field, message } => (
                ImportStatus::Invalid,
                None,
                None,
                Some(field),
                Some(message),
            ),
        };
        Self {
            index,
            status,
            story_id: story.map(|id| id.to_string().into()),
            progress_id: progress.map(|id| id.to_string().into()),
            field,
            message,
        }
    }
}
