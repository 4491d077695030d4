//! `undo` and `restoreLibrary`: bring back rows as they were, in one write.
//!
//! In the flow: the touched rows are read at three moments ([`super::reversal`]), decided about, and written in bulk
//! ([`super::rewrite`]). The write is recorded like any other, so it can be undone too.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    conflict::OnConflict,
    conflict_resolution::Target,
    reversal::Scope,
    reversal_plan::{KnownLibrary, Plan, Views},
    writer::LibraryWriter,
};
use crate::{
    library::{
        error::{Clash, Error, Refusal},
        model::{
            id::{LabelId, ProgressId, StoryId},
            kind::Kind,
            label::{Label, LabelKind, LabelName},
        },
        read::past::touched::Writes,
    },
    version::{Head, Version},
};

/// Conflicts that an answer lists at most. Each needs a look-up of its origin.
const MAX_LISTED: usize = 100;

/// The version of a library's first write. An empty library has the version before.
const FIRST_WRITE: Version = Version::new(2);

/// The outcome of an undo or a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// Number of rows that were written.
    pub rows: usize,
    /// The first conflicts that were left.
    pub left: Vec<Clash>,
}

impl LibraryWriter {
    /// Undoes the write of one version.
    ///
    /// # Errors
    /// Refused when no write made the version, when its history is not kept, when fields changed since (see
    /// `reversal.rs`), when a url or a name is taken, or when a limit is exceeded.
    pub async fn undo(&mut self, version: Version, policy: OnConflict) -> Result<Restored, Error> {
        if version < FIRST_WRITE {
            return Err(Refusal::no_write("version", version, FIRST_WRITE));
        }
        let head = self.before.version;
        if version > head {
            return Err(Refusal::above_head("version", version, head));
        }
        let not_kept = || Refusal::write_not_kept("version", version);
        let at = |version| Head {
            version,
            ..self.before
        };
        let earlier = Version::new(version.number() - 1);
        let plan = {
            let views = Views {
                before: self.past(at(earlier)).await?.ok_or_else(not_kept)?,
                after: KnownLibrary::AsOf(self.past(at(version)).await?.ok_or_else(not_kept)?),
                now: self.as_of("version", self.before.version).await?,
            };
            let touched = self.touched(Writes::Only(version)).await?;
            self.plan(&touched, &views, Scope::Write, policy).await?
        };
        self.carry_out(plan, policy).await
    }

    /// Restores the library as of a version. With a `base`, rows that changed after it conflict. With a
    /// base that is unknown, all rows that would change do.
    ///
    /// # Errors
    /// As [`Self::undo`].
    pub async fn restore_library(
        &mut self,
        to: Version,
        base: Option<Head>,
        policy: OnConflict,
    ) -> Result<Restored, Error> {
        let plan = {
            let views = Views {
                before: self.as_of("to", to).await?,
                after: match base {
                    None => KnownLibrary::Present,
                    Some(base) => self
                        .past(base)
                        .await?
                        .map_or(KnownLibrary::Unknown, KnownLibrary::AsOf),
                },
                now: self.as_of("to", self.before.version).await?,
            };
            let touched = self.touched(Writes::After(to)).await?;
            self.plan(&touched, &views, Scope::Row, policy).await?
        };
        self.carry_out(plan, policy).await
    }

    /// Writes a plan. Labels are removed first: the history of a version is read back in this order. Names and addresses
    /// become free before a row gets them.
    async fn carry_out(&mut self, mut plan: Plan, policy: OnConflict) -> Result<Restored, Error> {
        self.refuse_clashes(&mut plan.clashes, policy).await?;
        let mut rows = 0;
        for (kind, labels) in [LabelKind::Tag, LabelKind::Fandom]
            .into_iter()
            .zip(&mut plan.labels)
        {
            rows += labels.remove.len() + labels.set.len() + labels.create.len();
            for id in &labels.remove {
                self.delete_label(kind, LabelId(*id)).await?;
            }
            let mut renames = Vec::new();
            for (id, fields) in &labels.set {
                let name = fields
                    .get("name")
                    .and_then(|name| name.as_str())
                    .unwrap_or_default();
                renames.push((*id, LabelName::stored(name.to_owned())));
            }
            self.rename_labels(kind, renames).await?;
            self.create_labels_again(kind, std::mem::take(&mut labels.create))
                .await?;
        }
        let (stories, progresses) = (&mut plan.stories, &mut plan.progresses);
        rows += stories.remove.len() + stories.create.len() + stories.set.len();
        rows += progresses.remove.len() + progresses.create.len() + progresses.set.len();
        self.remove_entries(&progresses.remove, &stories.remove)
            .await?;
        let missing = self
            .drop_missing_labels(&mut stories.create, &mut stories.set)
            .await?;
        plan.clashes.extend(missing);
        self.refuse_clashes(&mut plan.clashes, policy).await?;
        let before = self.vacate_addresses(&stories.set).await?;
        let shared = &plan.shared_addresses;
        self.create_stories_again(std::mem::take(&mut stories.create), shared)
            .await?;
        self.create_progresses_again(std::mem::take(&mut progresses.create))
            .await?;
        self.set_stories(std::mem::take(&mut stories.set), before, shared)
            .await?;
        self.set_progresses(std::mem::take(&mut progresses.set))
            .await?;
        let left = self.named(plan.clashes).await?;
        Ok(Restored { rows, left })
    }

    async fn refuse_clashes(
        &self,
        clashes: &mut Vec<(Kind, Clash)>,
        policy: OnConflict,
    ) -> Result<(), Error> {
        if policy != OnConflict::Reject || clashes.is_empty() {
            return Ok(());
        }
        let clashes = self.named(std::mem::take(clashes)).await?;
        Err(Refusal::conflict(clashes))
    }

    /// Looks up the origins of the values that the library holds, for the first conflicts.
    async fn named(&self, mut clashes: Vec<(Kind, Clash)>) -> Result<Vec<Clash>, Error> {
        clashes.truncate(MAX_LISTED);
        let mut named = Vec::with_capacity(clashes.len());
        for (kind, mut clash) in clashes {
            if let Some(row) = clash.row
                && let Some(target) = self.target(kind, row).await?
            {
                let by = self.last_change(target, &clash.field).await?;
                (clash.device, clash.at) = (by.device, Some(by.at));
            }
            // Both rows of an entry have a status, so it is named as in the inputs.
            if clash.field == super::conflict::STATUS {
                let name = match kind {
                    Kind::Progress => "readingStatus",
                    _ => "publicationStatus",
                };
                name.clone_into(&mut clash.field);
            }
            named.push(clash);
        }
        Ok(named)
    }

    async fn target(&self, kind: Kind, id: Uuid) -> Result<Option<Target>, Error> {
        let ids = [LabelId(id)].into();
        let of_label = |label: Label| Target {
            kind,
            id,
            stamp: label.stamp,
            created_at: label.created_at,
            updated_at: label.updated_at,
        };
        Ok(match kind {
            Kind::Story => {
                let story = self.find_story(StoryId(id)).await?;
                story.map(|story| story.target())
            }
            Kind::Progress => {
                let progress = self.find_progress(ProgressId(id)).await?;
                progress.map(|progress| progress.target())
            }
            Kind::Tag => self
                .existing(LabelKind::Tag, &ids)
                .await?
                .pop()
                .map(of_label),
            Kind::Fandom => self
                .existing(LabelKind::Fandom, &ids)
                .await?
                .pop()
                .map(of_label),
        })
    }
}
