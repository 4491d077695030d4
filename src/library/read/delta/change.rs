//! A change, a tombstone, and the place of each in the order of stamps.

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

/// Where a client's copy stands.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// The version that the copy reflects; 0 when there is none yet, which is always answerable.
    pub version: Version,
    /// The epoch that the version belongs to, if the client knows it.
    pub epoch: Option<Epoch>,
}

/// A page of what changed.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The head of the page's snapshot. The client's copy is at it once there are no more pages.
    pub head: Head,
    /// Whether the client must drop its copy and start from version 0. Then there are no changes.
    pub reset: bool,
    /// Whether there is a next page.
    pub has_more: bool,
    /// The changes, by stamp.
    pub changes: Vec<Change>,
    /// How many bytes of texts and labels were read for it.
    pub read: u64,
    /// The stories of its progresses, if they were asked for: those that are read later may have been deleted by then.
    pub stories: HashMap<StoryId, Story>,
    /// The place after the last of them; none when there are none.
    pub end: Option<DeltaCursor>,
}

/// A row that was stamped, or the tombstone of one that was removed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A label was made or renamed.
    Label(LabelKind, Label),
    /// A story was made or changed; with the labels it has now.
    Story {
        /// Its columns.
        story: Story,
        /// Its tags, by name.
        tags: Vec<Label>,
        /// Its fandoms, by name.
        fandoms: Vec<Label>,
    },
    /// A progress was made or changed.
    Progress(Progress),
    /// A row is gone.
    Removed(Tombstone),
}

/// That a row is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstone {
    /// What it was.
    pub kind: Kind,
    /// Its id.
    pub id: Uuid,
    /// The version that removed it.
    pub stamp: Version,
}

/// A place in a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaCursor {
    /// The epoch of the walk.
    pub epoch: Epoch,
    /// The version at which the walk began.
    pub began: Version,
    /// The stamp of the change there.
    pub stamp: Version,
    /// Its place among the changes of one stamp.
    pub rank: u8,
    /// Its id.
    pub id: Uuid,
}

impl Change {
    /// Orders the changes of one stamp so that nothing comes before what it refers to: labels, stories, progresses,
    /// and what is gone last.
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

    /// Where it comes in a walk. Tombstones of one version come by id and only then by kind, as their index has them.
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
/// The least rank of a tombstone. Its kind is added, for rows of two kinds may have had one id.
pub(super) const REMOVED: u8 = 4;
/// The kinds of tombstones, by their stored names.
pub(super) const REMOVED_KINDS: [Kind; 4] = [Kind::Fandom, Kind::Progress, Kind::Story, Kind::Tag];

pub(super) const fn label_rank(kind: LabelKind) -> u8 {
    match kind {
        LabelKind::Tag => 0,
        LabelKind::Fandom => 1,
    }
}
