//! Inputs of the mutations of progresses.

use async_graphql::{ID, InputObject, MaybeUndefined};

use super::intent::{AgainstInput, IntentInput, clear, set};
use crate::{
    graphql::types::{head::Head, id::progress_id, progress::ReadingStatus},
    library::{Against, Error, Intent, ProgressId, ProgressPatch, Rating},
    version,
};

/// Changes of a progress. A field that is omitted keeps its value.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateProgressInput {
    /// UUID of the progress to change.
    id: ID,
    /// Reading status. It cannot be null.
    reading_status: MaybeUndefined<ReadingStatus>,
    /// Number of the last chapter that was read, from 0. It cannot be null. Without `base`, `rewind` and `onConflict`, a
    /// chapter below the stored one is ignored and reported in `conflict`, unless the same device set the stored one.
    current_chapter: MaybeUndefined<i32>,
    /// Rating from 0.0 to 5.0 in steps of 0.1. Null clears it.
    rating: MaybeUndefined<f64>,
    /// The user's notes, at most 10,000 characters. Null clears them.
    notes: MaybeUndefined<String>,
    /// Whether a chapter below the stored one is intended. It applies without a `base`, and with `onConflict: MERGE`. Null
    /// means false.
    rewind: Option<bool>,
    #[graphql(flatten)]
    against: AgainstInput,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl UpdateProgressInput {
    pub fn into_change(self) -> Result<(ProgressId, ProgressPatch, Against, Intent), Error> {
        let patch = ProgressPatch {
            status: set("readingStatus", self.reading_status)?.map(Into::into),
            current_chapter: set("currentChapter", self.current_chapter)?,
            rating: match clear(self.rating) {
                Some(Some(stars)) => Some(Some(Rating::from_stars(stars)?)),
                Some(None) => Some(None),
                None => None,
            },
            notes: clear(self.notes),
        };
        let id = progress_id("id", &self.id)?;
        let against = self.against.against(self.rewind.unwrap_or_default())?;
        let intent = self
            .intent
            .of_change("updateProgress", &(id, &patch, against))?;
        Ok((id, patch, against, intent))
    }
}

/// An entry to delete.
#[derive(InputObject)]
pub(in crate::graphql) struct DeleteProgressInput {
    /// UUID of the progress of the entry.
    id: ID,
    /// Head that the client's copy of the entry reflects. If another device changed the entry after that head, nothing is
    /// deleted, and the refusal is CONFLICT. Null means that the entry is deleted in any case.
    base: Option<Head>,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl DeleteProgressInput {
    pub fn into_deletion(self) -> Result<(ProgressId, Option<version::Head>, Intent), Error> {
        let id = progress_id("id", &self.id)?;
        let base = self.base.map(|base| base.read("base")).transpose()?;
        let intent = match base {
            Some(base) => self.intent.of("deleteProgress", &(id, base))?,
            None => self.intent.of("deleteProgress", &id)?,
        };
        Ok((id, base, intent))
    }
}
