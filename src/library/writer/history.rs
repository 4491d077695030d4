//! What fields held before: recorded with each change, and asked when a change comes from an older version.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{LibraryWriter, ROWS_A_STATEMENT};
use crate::{
    library::{
        Against, Clash, Kind, Refusal,
        conflict::{self, ChangedSince, Resolution},
        entity::{field_change, millis},
        error::Error,
        patch::{self, Fields},
    },
    version::Version,
};

impl LibraryWriter {
    /// What a row is to hold after `change`, and what of the change is left, given what else changed since its base.
    ///
    /// # Errors
    /// Refused when the change clashes and its sender wants no merge; [`Error::Invalid`] when its base is no version
    /// of this library.
    pub(super) async fn resolve<S: Serialize + DeserializeOwned>(
        &self,
        kind: Kind,
        id: Uuid,
        row_stamp: Version,
        stored: &S,
        change: &impl Serialize,
        against: Against,
    ) -> Result<(S, Vec<Clash>), Error> {
        let Some(base) = against.base() else {
            return Ok((patch::apply(stored, change)?, Vec::new()));
        };
        // The head is that of this very change.
        if base >= self.head.version {
            return Err(Error::invalid("base", "is newer than the library"));
        }
        let change = patch::fields(change)?;
        let since = if row_stamp > base {
            self.changed_since(kind, id, base, &change).await?
        } else {
            ChangedSince::new()
        };
        match conflict::resolve(against, &since, &patch::fields(stored)?, &change) {
            Resolution::Reject(clashes) => Err(Refusal::conflict(clashes)),
            Resolution::Apply { fields, left } => Ok((patch::apply(stored, &fields)?, left)),
        }
    }

    /// The fields of a row that changed after `base`, with what each held then.
    async fn changed_since(
        &self,
        kind: Kind,
        id: Uuid,
        base: Version,
        change: &Fields,
    ) -> Result<ChangedSince, Error> {
        // Below the floor it is forgotten which fields changed, so any may have.
        let mut since = ChangedSince::new();
        if base < self.floor {
            since.extend(change.keys().map(|field| (field.clone(), None)));
            return Ok(since);
        }
        let changes: Vec<(String, String)> = field_change::Entity::find()
            .select_only()
            .columns([field_change::Column::Field, field_change::Column::Was])
            .filter(field_change::Column::UserId.eq(self.user.as_str()))
            .filter(field_change::Column::Kind.eq(kind.name()))
            .filter(field_change::Column::Id.eq(id))
            .filter(field_change::Column::Stamp.gt(base.number()))
            .order_by_desc(field_change::Column::Stamp)
            .into_tuple()
            .all(&self.tx)
            .await?;
        // Newest first, so that of several changes of a field the oldest, nearest the base, is kept.
        for (field, was) in changes {
            let was: Value = serde_json::from_str(&was).map_err(Error::fault)?;
            since.insert(field, Some(was));
        }
        Ok(since)
    }

    /// Records what the fields that differ held before this change.
    pub(super) async fn record(
        &self,
        kind: Kind,
        id: Uuid,
        before: &impl Serialize,
        after: &impl Serialize,
    ) -> Result<(), Error> {
        let after = patch::fields(after)?;
        let differ = patch::fields(before)?
            .into_iter()
            .filter(|(field, was)| after.get(field) != Some(was));
        let changes: Vec<_> = differ
            .map(|(field, was)| self.field_change(kind, id, field, &was))
            .collect();
        self.insert_field_changes(changes).await
    }

    /// The record that `field` held `was` before this change.
    pub(super) fn field_change(
        &self,
        kind: Kind,
        id: Uuid,
        field: String,
        was: &Value,
    ) -> field_change::ActiveModel {
        field_change::ActiveModel {
            user_id: Set(self.user.as_str().to_owned()),
            kind: Set(kind.name().to_owned()),
            id: Set(id),
            stamp: Set(self.head.version.number()),
            field: Set(field),
            was: Set(was.to_string()),
            changed_at: Set(millis(self.now)),
        }
    }

    pub(super) async fn insert_field_changes(
        &self,
        changes: Vec<field_change::ActiveModel>,
    ) -> Result<(), Error> {
        for some in changes.chunks(ROWS_A_STATEMENT) {
            field_change::Entity::insert_many(some.to_vec())
                .exec_without_returning(&self.tx)
                .await?;
        }
        Ok(())
    }

    /// Forgets what the fields of a row held, because the row is gone.
    pub(super) async fn forget(&self, kind: Kind, id: Uuid) -> Result<(), Error> {
        field_change::Entity::delete_many()
            .filter(field_change::Column::UserId.eq(self.user.as_str()))
            .filter(field_change::Column::Kind.eq(kind.name()))
            .filter(field_change::Column::Id.eq(id))
            .exec(&self.tx)
            .await?;
        Ok(())
    }
}
