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

/// In place of a field: all of them, of a row that was made where another was removed. What they held is forgotten.
const ALL_FIELDS: &str = "*";

impl LibraryWriter {
    /// What a row is to hold after `change`, and what of the change is left, given what else changed since its base.
    ///
    /// # Errors
    /// Refused when the change clashes and its sender wants no merge.
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
        let change = patch::fields(change)?;
        // The head is that of this very change. A base that is not below it is of a numbering that a restore has undone,
        // and says nothing of this one.
        let since = if base >= self.head.version {
            all_forgotten(&change)
        } else if row_stamp > base {
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
        if base < self.floor {
            return Ok(all_forgotten(change));
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
        if changes.iter().any(|(field, _)| field == ALL_FIELDS) {
            return Ok(all_forgotten(change));
        }
        let mut since = ChangedSince::new();
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

    /// Records that all fields of a row are new.
    pub(super) async fn record_remade(&self, kind: Kind, id: Uuid) -> Result<(), Error> {
        let change = self.field_change(kind, id, ALL_FIELDS.to_owned(), &Value::Null);
        self.insert_field_changes(vec![change]).await
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

/// Every field of `change` has changed, and what it held is forgotten.
fn all_forgotten(change: &Fields) -> ChangedSince {
    change.keys().map(|field| (field.clone(), None)).collect()
}
