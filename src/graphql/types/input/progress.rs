//! What mutations of progresses take.

use async_graphql::{ID, InputObject, MaybeUndefined};

use super::intent::{AgainstInput, IntentInput, clear, set};
use crate::{
    graphql::types::{id::progress_id, progress::ReadingStatus},
    library::{Against, Error, Intent, ProgressId, ProgressPatch, Rating},
};

/// A change of how far you have read. A field that is absent is left alone.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateProgressInput {
    /// The progress to change.
    id: ID,
    /// Where you stand.
    reading_status: MaybeUndefined<ReadingStatus>,
    /// Not negative. Without `base`, `rewind` or `onConflict`, a chapter below that of your library is left and reported
    /// in `conflict`, unless the same device set the stored one.
    current_chapter: MaybeUndefined<i32>,
    /// From 0.0 to 5.0 in steps of 0.1; null clears.
    rating: MaybeUndefined<f64>,
    /// At most 10,000 characters; null clears.
    notes: MaybeUndefined<String>,
    /// Whether a chapter below that of your library is meant, without a base or when clashes are merged; false when
    /// absent.
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

/// An entry to remove.
#[derive(InputObject)]
pub(in crate::graphql) struct DeleteProgressInput {
    /// Its progress.
    id: ID,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl DeleteProgressInput {
    pub fn into_id(self) -> Result<(ProgressId, Intent), Error> {
        let id = progress_id("id", &self.id)?;
        Ok((id, self.intent.of("deleteProgress", &id)?))
    }
}
