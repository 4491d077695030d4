//! Payload of `importLibrary`.

use async_graphql::{Enum, ID, SimpleObject};

use super::{
    list::List,
    payload::{After, Refusal},
};
use crate::library::{self, Written};

/// Result of `importLibrary`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ImportLibraryPayload {
    #[graphql(flatten)]
    after: After,
    /// Number of entries that were added.
    imported_count: i32,
    /// Number of entries that were skipped because their address was in the library already.
    duplicate_count: i32,
    /// Number of entries that were skipped because a value is invalid.
    invalid_count: i32,
    /// Outcome of each entry, in their order. Empty if the mutation was refused.
    outcomes: List<ImportOutcome>,
    /// Reason why nothing was changed. Null means that the mutation was made.
    refusal: Option<Refusal>,
}

/// Outcome of an entry.
#[derive(SimpleObject)]
struct ImportOutcome {
    /// Index of the entry in the input, from 0.
    index: i32,
    /// Whether the entry was added.
    status: ImportStatus,
    /// UUID of the new or existing story. Null means that the entry is invalid.
    story_id: Option<ID>,
    /// UUID of the new or existing progress. Null means that the entry is invalid.
    progress_id: Option<ID>,
    /// Field that is the cause. Null means that the entry was added.
    field: Option<String>,
    /// Cause in words, for developers. Null means that the entry was added.
    message: Option<String>,
}

/// Whether an entry was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum ImportStatus {
    /// The entry was added.
    Imported,
    /// The address of the entry was in the library or in an earlier entry.
    Duplicate,
    /// A value of the entry is invalid.
    Invalid,
}

impl From<Written<library::ImportOutcomes>> for ImportLibraryPayload {
    fn from(written: Written<library::ImportOutcomes>) -> Self {
        let after = After::from(&written);
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
            after,
            imported_count: count(ImportStatus::Imported),
            duplicate_count: count(ImportStatus::Duplicate),
            invalid_count: count(ImportStatus::Invalid),
            outcomes: List(outcomes),
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
