//! Keeps each story with exactly one progress: drops the decisions about halves of entries that another half prevents.
//!
//! A decision about a row is to remove it, to create it, or both: to replace it by its earlier life. The rows of an entry
//! may have been paired in another way since, because ids can be used again. A decision is dropped as a whole, and then
//! those of the rows beside it are checked again. A drop causes at most four checks, so the time is linear in the number
//! of rows.
//!
//! **Invariant:** what remains leaves each story with one progress, if each has one now.

use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{ColumnTrait as _, ConnectionTrait as _, QueryFilter as _};
use serde_json::Value;
use uuid::Uuid;

use super::{
    reversal_plan::KindPlan,
    writer::{LibraryWriter, ROWS_A_STATEMENT},
};
use crate::library::{
    database::any_of::one_of,
    entity::progress,
    error::{Clash, Error},
    model::kind::Kind,
    read::past::past_row::{PastProgress, PastStory},
};

/// A half of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Half {
    Story(Uuid),
    Progress(Uuid),
}

/// The decisions by id. Each set contains what is not dropped.
struct Remaining {
    /// The present story of each progress.
    story_of: HashMap<Uuid, Uuid>,
    /// The present progress of each story.
    progress_of: HashMap<Uuid, Uuid>,
    /// The story that each created progress is about.
    created_story_of: HashMap<Uuid, Uuid>,
    /// The progress that is created for each story.
    created_progress_of: HashMap<Uuid, Uuid>,
    removed: HashSet<Half>,
    created: HashSet<Half>,
}

impl LibraryWriter {
    /// Drops the decisions that would leave half an entry, and returns a conflict for each row that is not brought back.
    /// `present` contains the progresses of the touched rows. `reported` contains the conflicts that are reported: a row is
    /// not reported because the other half of its entry is.
    pub(super) async fn keep_entries_whole(
        &self,
        stories: &mut KindPlan<PastStory>,
        progresses: &mut KindPlan<PastProgress>,
        present: &HashMap<Uuid, PastProgress>,
        reported: &[(Kind, Clash)],
    ) -> Result<Vec<(Kind, Clash)>, Error> {
        // A progress to replace is kept only if it is another story's now, which these fields do not describe.
        progresses
            .set
            .retain(|(id, _)| !progresses.remove.contains(id));
        let touched = present.values();
        let mut progress_of: HashMap<_, _> =
            touched.map(|past| (past.story_id.0, past.id.0)).collect();
        let pairs = self.other_pairs(stories, progresses, &progress_of).await?;
        progress_of.extend(pairs);
        let reported = reported.iter().filter_map(|(_, clash)| clash.row).collect();
        let pairs = Remaining::new(stories, progresses, progress_of);
        let lone = pairs.drop_lone_halves(stories, progresses, &reported);
        // A story that is replaced has all fields of its earlier life.
        stories.set.retain(|(id, _)| !stories.remove.contains(id));
        Ok(lone)
    }

    /// Returns the present progresses of the stories that get one and are not created, unless they are known.
    async fn other_pairs(
        &self,
        stories: &KindPlan<PastStory>,
        progresses: &KindPlan<PastProgress>,
        known: &HashMap<Uuid, Uuid>,
    ) -> Result<Vec<(Uuid, Uuid)>, Error> {
        let created = stories.create.iter().map(|past| past.id.0);
        let absent: HashSet<_> = created.filter(|id| !stories.remove.contains(id)).collect();
        let wanted = progresses.create.iter().map(|past| past.story_id.0);
        let wanted: Vec<_> = wanted
            .filter(|id| !absent.contains(id) && !known.contains_key(id))
            .collect();
        let mut pairs = Vec::new();
        for some in wanted.chunks(ROWS_A_STATEMENT) {
            let rows = progress::find()
                .filter(progress::Column::UserId.eq(self.user.as_str()))
                .filter(one_of(
                    self.tx.get_database_backend(),
                    progress::Column::StoryId,
                    some.iter().copied(),
                ))
                .all(&self.tx)
                .await?;
            pairs.extend(rows.into_iter().map(|row| (row.story_id, row.id)));
        }
        Ok(pairs)
    }
}

impl Half {
    fn id(self) -> Uuid {
        match self {
            Self::Story(id) | Self::Progress(id) => id,
        }
    }

    /// The conflict of a row that is not changed, though it was to be removed or created.
    fn clash(self, is_removed: bool, is_created: bool) -> (Kind, Clash) {
        let kind = match self {
            Self::Story(_) => Kind::Story,
            Self::Progress(_) => Kind::Progress,
        };
        let value = |is_present: bool| {
            let id = is_present.then(|| self.id().to_string());
            id.map_or(Value::Null, Value::from)
        };
        let clash = Clash {
            row: Some(self.id()),
            field: "id".to_owned(),
            base: None,
            yours: value(is_created),
            theirs: value(is_removed),
            device: None,
            at: None,
        };
        (kind, clash)
    }
}

impl Remaining {
    fn new(
        stories: &KindPlan<PastStory>,
        progresses: &KindPlan<PastProgress>,
        progress_of: HashMap<Uuid, Uuid>,
    ) -> Self {
        let created = || progresses.create.iter();
        let removed_stories = stories.remove.iter().copied().map(Half::Story);
        let removed_progresses = progresses.remove.iter().copied().map(Half::Progress);
        let created_stories = stories.create.iter().map(|past| Half::Story(past.id.0));
        let created_progresses = created().map(|past| Half::Progress(past.id.0));
        Self {
            story_of: progress_of
                .iter()
                .map(|(story, id)| (*id, *story))
                .collect(),
            progress_of,
            created_story_of: created().map(|past| (past.id.0, past.story_id.0)).collect(),
            created_progress_of: created().map(|past| (past.story_id.0, past.id.0)).collect(),
            removed: removed_stories.chain(removed_progresses).collect(),
            created: created_stories.chain(created_progresses).collect(),
        }
    }

    /// Drops what is not possible from the plan. Returns the conflicts.
    fn drop_lone_halves(
        mut self,
        stories: &mut KindPlan<PastStory>,
        progresses: &mut KindPlan<PastProgress>,
        reported: &HashSet<Uuid>,
    ) -> Vec<(Kind, Clash)> {
        let dropped = self.drop_impossible();
        let (mut lone, mut unset) = (Vec::new(), HashSet::new());
        for (half, (is_removed, is_created)) in &dropped {
            let beside = self.beside(*half);
            // The fields of a story to replace are set instead, but not beside another progress.
            let is_replaced = *is_removed && *is_created && matches!(half, Half::Story(_));
            if is_replaced && !beside.iter().any(|half| dropped.contains_key(half)) {
                continue;
            }
            unset.insert(half.id());
            if !beside.iter().any(|half| reported.contains(&half.id())) {
                lone.push(half.clash(*is_removed, *is_created));
            }
        }
        stories.set.retain(|(id, _)| !unset.contains(id));
        let (removed, created) = (&self.removed, &self.created);
        stories
            .remove
            .retain(|id| removed.contains(&Half::Story(*id)));
        stories
            .create
            .retain(|past| created.contains(&Half::Story(past.id.0)));
        progresses
            .remove
            .retain(|id| removed.contains(&Half::Progress(*id)));
        progresses
            .create
            .retain(|past| created.contains(&Half::Progress(past.id.0)));
        lone
    }

    /// Drops each decision that is not possible. Returns whether it was to remove and to create the row.
    fn drop_impossible(&mut self) -> BTreeMap<Half, (bool, bool)> {
        let mut to_check: Vec<_> = self.removed.union(&self.created).copied().collect();
        let mut dropped = BTreeMap::new();
        while let Some(half) = to_check.pop() {
            if !self.is_possible(half) {
                let was = (self.removed.remove(&half), self.created.remove(&half));
                dropped.insert(half, was);
                to_check.extend(self.beside(half));
            }
        }
        dropped
    }

    /// Returns whether the decision about a half leaves whole entries, with the other decisions.
    fn is_possible(&self, half: Half) -> bool {
        let (is_removed, is_created) = (self.removed.contains(&half), self.created.contains(&half));
        match half {
            Half::Story(id) => {
                (!is_removed || self.loses_its_progress(id))
                    && (!is_created || self.gets_a_progress(id))
            }
            Half::Progress(id) => {
                let story = self.story_of.get(&id);
                let new_story = self.created_story_of.get(&id);
                (!is_removed || story.is_some_and(|story| self.can_lose_its_progress(*story)))
                    && (!is_created
                        || new_story.is_some_and(|story| self.can_get_a_progress(*story)))
            }
        }
    }

    fn can_lose_its_progress(&self, story: Uuid) -> bool {
        self.removed.contains(&Half::Story(story)) || self.gets_a_progress(story)
    }

    fn can_get_a_progress(&self, story: Uuid) -> bool {
        let half = Half::Story(story);
        self.created.contains(&half)
            || (!self.removed.contains(&half) && self.loses_its_progress(story))
    }

    fn loses_its_progress(&self, story: Uuid) -> bool {
        let progress = self.progress_of.get(&story);
        progress.is_some_and(|id| self.removed.contains(&Half::Progress(*id)))
    }

    fn gets_a_progress(&self, story: Uuid) -> bool {
        let progress = self.created_progress_of.get(&story);
        progress.is_some_and(|id| self.created.contains(&Half::Progress(*id)))
    }

    /// Returns the halves whose decisions may depend on the decision about `half`.
    fn beside(&self, half: Half) -> Vec<Half> {
        let (present, created) = match half {
            Half::Story(id) => (self.progress_of.get(&id), self.created_progress_of.get(&id)),
            Half::Progress(id) => (self.story_of.get(&id), self.created_story_of.get(&id)),
        };
        let other = |id: &Uuid| match half {
            Half::Story(_) => Half::Progress(*id),
            Half::Progress(_) => Half::Story(*id),
        };
        present.into_iter().chain(created).map(other).collect()
    }
}
