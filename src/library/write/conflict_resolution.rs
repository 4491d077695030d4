//! What becomes of a change that was made against an older head: what other devices did since, looked up, and the
//! decision of [`conflict`] applied.
//!
//! **Invariant:** a change without a base that sets no chapter back costs no statement here.

use serde::{Serialize, de::DeserializeOwned};
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
    version::Version,
};

/// A row that a change is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub kind: Kind,
    pub id: Uuid,
    pub stamp: Version,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

impl LibraryWriter {
    /// What a row is to hold after `change`, and what of the change is left, given what other devices changed since its
    /// base.
    ///
    /// # Errors
    /// Refused when the change clashes and its sender wants no merge.
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
            None if against.may_be_behind(&held, &change) => self.further(target, &change).await?,
            None => ChangedSince::new(),
        };
        match conflict::resolve(against, &since, &held, &change) {
            Resolution::Reject(mut clashes) => {
                self.name_origins(target, &mut clashes).await?;
                Err(Refusal::conflict(clashes))
            }
            Resolution::Apply { fields, mut left } => {
                self.name_origins(target, &mut left).await?;
                Ok((patch::apply(stored, &fields)?, left))
            }
        }
    }

    /// The fields of a change without a base that are left to a device that is further: the chapter and what came with
    /// it. None if the device that is behind is the one that is further.
    async fn further(&self, target: Target, change: &Fields) -> Result<ChangedSince, Error> {
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

    /// Names the origin of what the library holds, where that is not known yet.
    async fn name_origins(&self, target: Target, clashes: &mut [Clash]) -> Result<(), Error> {
        for clash in clashes.iter_mut().filter(|clash| clash.at.is_none()) {
            let by = self.last_change(target, &clash.field).await?;
            (clash.device, clash.at) = (by.device, Some(by.at));
        }
        Ok(())
    }
}
