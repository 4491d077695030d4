//! Changes and tombstones, and their order in a walk.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    library::model::{
        id::StoryId,
        kind::Kind,
        label::{Label, LabelKind},
        progress::Progress,
        story::Story,
    },
    version::{Epoch, Head, Version},
};

/// The state of a client's cache.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// The version that the cache reflects; 0 for an empty cache, which is never reset.
    pub version: Version,
    /// The epoch of the version, if known to the client.
    pub epoch: Option<Epoch>,
}

/// A page of changes.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The head of the page's snapshot. The client reaches it with the last page.
    pub head: Head,
    /// Whether the client must drop its cache and restart from version 0. `changes` is empty then.
    pub reset: bool,
    /// Whether the account was erased after the cache was made: the client must drop its unsent changes too.
    pub erased: bool,
    /// Whether there is a next page.
    pub has_more: bool,
    /// The changes, by stamp.
    pub changes: Vec<Change>,
    /// Bytes of texts and labels that were read for the page.
    pub read: u64,
    /// The stories of its progresses, if requested: a later read might find them deleted.
    pub stories: HashMap<StoryId, Story>,
    /// The cursor of the last change; `None` if the walk has no change yet.
    pub end: Option<DeltaCursor>,
}

/// A changed row, or the tombstone of a removed one.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A label was created or renamed.
    Label(LabelKind, Label),
    /// A story was created or changed. Contains its current labels.
    Story {
        /// Its columns.
        story: Story,
        /// Its tags, by name.
        tags: Vec<Label>,
        /// Its fandoms, by name.
        fandoms: Vec<Label>,
    },
    /// A progress was created or changed.
    Progress(Progress),
    /// A row was removed.
    Removed(Tombstone),
}

/// The record of a removed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// The kind of the row.
    pub kind: Kind,
    /// Its id.
    pub id: Uuid,
    /// The version that removed it.
    pub stamp: Version,
}

/// A position in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaCursor {
    /// The epoch of the walk.
    pub epoch: Epoch,
    /// The head's version when the walk began.
    pub began: Version,
    /// The stamp of the change at the cursor.
    pub stamp: Version,
    /// Its rank among the changes of one stamp.
    pub rank: u8,
    /// Its id.
    pub id: Uuid,
}

impl Change {
    /// Orders the changes of one stamp by reference: labels, stories, progresses, tombstones.
    fn rank(&self) -> u8 {
        match self {
            Self::Label(kind, _) => label_rank(*kind),
            Self::Story { .. } => STORY,
            Self::Progress(_) => PROGRESS,
            Self::Removed(tombstone) => {
                let kind = REMOVED_KINDS
                    .iter()
                    .position(|kind| *kind == tombstone.kind);
                (REMOVED..).nth(kind.unwrap_or_default()).unwrap_or(REMOVED)
            }
        }
    }

    /// The cursor after it, on a walk that began at a head.
    pub(super) fn cursor(&self, epoch: Epoch, began: Version) -> DeltaCursor {
        let (stamp, _, id, rank) = self.place();
        DeltaCursor {
            epoch,
            began,
            stamp,
            rank,
            id,
        }
    }

    /// The sort key in a walk. Tombstones of one version sort by id before kind, like their index.
    pub(super) fn place(&self) -> (Version, u8, Uuid, u8) {
        let (stamp, id) = match self {
            Self::Label(_, label) => (label.stamp, label.id.0),
            Self::Story { story, .. } => (story.stamp, story.id.0),
            Self::Progress(progress) => (progress.stamp, progress.id.0),
            Self::Removed(tombstone) => (tombstone.stamp, tombstone.id),
        };
        let rank = self.rank();
        (stamp, Ord::min(rank, REMOVED), id, rank)
    }
}

pub(super) const STORY: u8 = 2;
pub(super) const PROGRESS: u8 = 3;
/// The lowest rank of a tombstone. Its kind is added, because rows of different kinds may share an id.
pub(super) const REMOVED: u8 = 4;
/// The kinds of tombstones, sorted by stored name.
pub(super) const REMOVED_KINDS: [Kind; 4] = [Kind::Fandom, Kind::Progress, Kind::Story, Kind::Tag];

pub(super) const fn label_rank(kind: LabelKind) -> u8 {
    match kind {
        LabelKind::Tag => 0,
        LabelKind::Fandom => 1,
    }
}
