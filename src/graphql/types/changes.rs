//! Changes of the library since a version.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Enum, ID, Object, SimpleObject, Union};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{Fandom, Head, Progress, Story, Tag, list::List};
use crate::{
    graphql::batch::Batch,
    library::{self, Change, Delta, DeltaCursor, Error, LabelKind, StoryId},
    version::{Epoch, Version},
};

/// A page of the changes of the library since a version.
///
/// Apply the changes in order: a row replaces the one of its type and id, and a tombstone removes it. While `hasMore`
/// is true, ask again with `after: endCursor`. Once the last page is applied, the copy is at `version`, even if the
/// library changed in the meantime.
///
/// Changes are ordered by stamp, and of one stamp tags and fandoms come before stories, those before progresses, and
/// tombstones last. A label that was renamed later may therefore follow the stories that carry it: a copy stores label
/// ids with a story, and looks names up when it shows them. `storyCount` is not part of a copy: count the stories.
#[derive(SimpleObject)]
pub(in crate::graphql) struct LibraryChanges {
    /// Version of the copy once the last page is applied.
    version: i32,
    /// Epoch that the version belongs to. Store it, and send it as `epoch` the next time.
    epoch: ID,
    /// Head of the copy once the last page is applied: `version` with its epoch. Send it as the `base` of changes that
    /// are made to that copy.
    head: Head,
    /// Whether the copy must be dropped and loaded again with `since: 0`, because its history was purged or the library
    /// was restored from a backup. `changes` is empty then. Keep mutations that were not sent yet in the outbox, and
    /// send them with the `base` that they were made against.
    reset: bool,
    /// Whether the account was erased after the copy was made. `reset` is true then. Drop the copy and the outbox,
    /// with the mutations that were not sent yet.
    erased: bool,
    /// Whether another page follows.
    has_more: bool,
    /// Value of `after` for the next page. Null when the page is empty.
    end_cursor: Option<String>,
    /// Changes of the page, oldest first.
    changes: List<LibraryChange>,
}

impl From<Delta> for LibraryChanges {
    fn from(delta: Delta) -> Self {
        let batch = Arc::new(batch(&delta.changes));
        Self {
            version: delta.head.version.number(),
            epoch: delta.head.epoch.to_string().into(),
            head: delta.head.into(),
            reset: delta.reset,
            erased: delta.erased,
            has_more: delta.has_more,
            end_cursor: delta.end.map(encode),
            changes: delta
                .changes
                .into_iter()
                .map(|change| LibraryChange::of(change, &delta.stories, &batch))
                .collect(),
        }
    }
}

/// The stories and labels that changes are about.
fn batch(changes: &[Change]) -> Batch {
    let story = |change: &Change| match change {
        Change::Story { story, .. } => Some(story.id),
        Change::Progress(progress) => Some(progress.story_id),
        Change::Label(..) | Change::Removed(_) => None,
    };
    let batch = Batch::of_stories(changes.iter().filter_map(story));
    changes.iter().fold(batch, |batch, change| match change {
        Change::Label(kind, label) => batch.with_labels(*kind, [label]),
        Change::Story { tags, fandoms, .. } => batch
            .with_labels(LabelKind::Tag, tags)
            .with_labels(LabelKind::Fandom, fandoms),
        Change::Progress(_) | Change::Removed(_) => batch,
    })
}

/// A row as it is now, or the tombstone of a removed row.
#[derive(Union)]
pub(in crate::graphql) enum LibraryChange {
    Tag(Tag),
    Fandom(Fandom),
    Story(Box<Story>),
    Progress(Box<Progress>),
    Tombstone(Tombstone),
}

impl LibraryChange {
    fn of(change: Change, stories: &HashMap<StoryId, library::Story>, batch: &Arc<Batch>) -> Self {
        match change {
            Change::Label(LabelKind::Tag, label) => Self::Tag(Tag::new(label.into(), batch)),
            Change::Label(LabelKind::Fandom, label) => {
                Self::Fandom(Fandom::new(label.into(), batch))
            }
            Change::Story {
                story,
                tags,
                fandoms,
            } => Self::Story(Box::new(Story::with_labels(story, tags, fandoms, batch))),
            Change::Progress(progress) => {
                let story = stories.get(&progress.story_id).cloned();
                Self::Progress(Box::new(Progress::with_story(progress, story, batch)))
            }
            Change::Removed(tombstone) => Self::Tombstone(Tombstone(tombstone)),
        }
    }
}

/// Kind of a row of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Kind")]
pub(in crate::graphql) enum LibraryKind {
    /// The row is a story.
    Story,
    /// The row is a progress.
    Progress,
    /// The row is a tag.
    Tag,
    /// The row is a fandom.
    Fandom,
}

/// The tombstone of a row, as the API shows it.
pub(in crate::graphql) struct Tombstone(library::Tombstone);

/// The record that a row was removed.
#[Object]
impl Tombstone {
    /// UUID of the removed row.
    async fn row_id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Kind of the removed row.
    async fn kind(&self) -> LibraryKind {
        self.0.kind.into()
    }

    /// Library version that removed the row.
    async fn stamp(&self) -> i32 {
        self.0.stamp.number()
    }
}

/// A cursor is text that means nothing to clients: its numbers as bytes, in base64.
fn encode(cursor: DeltaCursor) -> String {
    let mut bytes = Vec::with_capacity(33);
    bytes.extend(cursor.epoch.number().to_be_bytes());
    bytes.extend(cursor.began.number().to_be_bytes());
    bytes.extend(cursor.stamp.number().to_be_bytes());
    bytes.push(cursor.rank);
    bytes.extend(cursor.id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor back.
///
/// # Errors
/// [`Error::Invalid`] when it is none of ours.
pub(in crate::graphql) fn decode(text: &str) -> Result<DeltaCursor, Error> {
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    decoded
        .as_deref()
        .and_then(read)
        .ok_or_else(|| Error::Invalid {
            field: "after",
            message: "is not a cursor of this list".to_owned(),
        })
}

fn read(bytes: &[u8]) -> Option<DeltaCursor> {
    let (epoch, bytes) = bytes.split_first_chunk()?;
    let (began, bytes) = bytes.split_first_chunk()?;
    let (stamp, bytes) = bytes.split_first_chunk()?;
    let (rank, id) = bytes.split_first()?;
    Some(DeltaCursor {
        epoch: Epoch::new(i64::from_be_bytes(*epoch)),
        began: Version::new(i32::from_be_bytes(*began)),
        stamp: Version::new(i32::from_be_bytes(*stamp)),
        rank: *rank,
        id: Uuid::from_slice(id).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor = DeltaCursor {
            epoch: Epoch::new(1_700_000_000_000),
            began: Version::new(9),
            stamp: Version::new(3),
            rank: 2,
            id: Uuid::now_v7(),
        };
        let text = encode(cursor);
        assert_eq!(decode(&text).unwrap(), cursor);
        for wrong in ["", "x", &text[1..], &format!("{text}AAAA")] {
            assert!(decode(wrong).is_err(), "{wrong}");
        }
    }
}
