//! Resolves the conflicts of a change: looks up the changes of other devices since its base, and applies the decision of
//! [`conflict`].
//!
//! **Invariant:** a change without a base that does not lower a chapter needs no statement here.

use metrics::counter;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    conflict::{self, Against, CHAPTER, Changed, ChangedSince, Resolution, STATUS},
    writer::LibraryWriter,
};
use crate::{
    library::{
        error::{Clash, Error, Refusal},
        model::{
            kind::Kind,
            patch::{self, Fields},
        },
    },
    version::{Head, Version},
};

/// The row that a change updates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub kind: Kind,
    pub id: Uuid,
    pub stamp: Version,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Counts a change that met changes of other devices.
fn count_conflict(resolution: &'static str) {
    counter!("library_sync_conflicts_total", "resolution" => resolution).increment(1);
}

impl LibraryWriter {
    /// Returns the row's state after `change`, and the fields that were left unchanged because of other devices' changes
    /// since its base.
    ///
    /// # Errors
    /// Refused when fields conflict and the policy is to reject.
    pub(super) async fn resolve<S: Serialize + DeserializeOwned>(
        &self,
        target: Target,
        stored: &S,
        change: &impl Serialize,
        against: Against,
    ) -> Result<(S, Vec<Clash>), Error> {
        let (held, change) = (patch::fields(stored)?, patch::fields(change)?);
        let since = match against.base() {
            Some(base) => self.changed_since(target, base, &held, &change).await?,
            None if against.may_be_behind(&held, &change) => {
                self.further_fields(target, &change).await?
            }
            None => ChangedSince::new(),
        };
        match conflict::resolve(against, &since, &held, &change) {
            Resolution::Reject(mut clashes) => {
                count_conflict("rejected");
                self.name_origins(target, &mut clashes).await?;
                Err(Refusal::conflict(clashes))
            }
            Resolution::Apply { fields, mut left } => {
                if !left.is_empty() {
                    count_conflict("left");
                } else if !since.is_empty() {
                    count_conflict("merged");
                }
                self.name_origins(target, &mut left).await?;
                Ok((patch::apply(stored, &fields)?, left))
            }
        }
    }

    /// Refuses to delete a row whose fields other devices changed after `base`. The deletion counts as a change of every
    /// field to null.
    ///
    /// # Errors
    /// Refused, with the fields, if there are any.
    pub(super) async fn refuse_unseen_changes(
        &self,
        target: Target,
        stored: &impl Serialize,
        base: Head,
    ) -> Result<(), Error> {
        let held = patch::fields(stored)?;
        let change: Fields = held
            .keys()
            .map(|field| (field.clone(), Value::Null))
            .collect();
        let since = self.changed_since(target, base, &held, &change).await?;
        let against = Against::new(Some(base), None, false)?;
        if let Resolution::Reject(mut clashes) = conflict::resolve(against, &since, &held, &change)
        {
            count_conflict("rejected");
            self.name_origins(target, &mut clashes).await?;
            // Both rows of an entry have a status, so it is named as in the inputs.
            let status = match target.kind {
                Kind::Progress => "readingStatus",
                _ => "publicationStatus",
            };
            for clash in clashes.iter_mut().filter(|clash| clash.field == STATUS) {
                status.clone_into(&mut clash.field);
            }
            return Err(Refusal::conflict(clashes));
        }
        Ok(())
    }

    /// Returns the fields of a change without a base that are left because another device is further: the chapter and
    /// the status sent with it. Empty if the sender itself set the stored chapter.
    async fn further_fields(&self, target: Target, change: &Fields) -> Result<ChangedSince, Error> {
        let by = self.last_change(target, CHAPTER).await?;
        if self.is_own(by.device.as_ref()) {
            return Ok(ChangedSince::new());
        }
        let changed = Changed {
            by: Some(by),
            ..Changed::default()
        };
        let fields = [CHAPTER, STATUS]
            .into_iter()
            .filter(|field| change.contains_key(*field));
        Ok(fields
            .map(|field| (field.to_owned(), changed.clone()))
            .collect())
    }

    /// Looks up the missing origins of the stored values.
    async fn name_origins(&self, target: Target, clashes: &mut [Clash]) -> Result<(), Error> {
        for clash in clashes.iter_mut().filter(|clash| clash.at.is_none()) {
            let by = self.last_change(target, &clash.field).await?;
            (clash.device, clash.at) = (by.device, Some(by.at));
        }
        Ok(())
    }
}
