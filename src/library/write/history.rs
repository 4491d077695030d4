//! What fields held before: recorded with each change, for those that come from an older version. See [`super::conflict_resolution`].

use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::writer::{LibraryWriter, ROWS_A_STATEMENT};
use crate::library::{
    entity::{field_change, millis},
    error::Error,
    model::{kind::Kind, patch},
};

/// In place of a field: all of them, of a row that was made where another was removed. What they held is forgotten.
pub(super) const ALL_FIELDS: &str = "*";

impl LibraryWriter {
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
