//! What fields held before: recorded with each change, and asked when a change comes from an older version.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{LibraryWriter, ROWS_A_STATEMENT, label_removal::LostLabel};
use crate::{
    library::{
        Against, Clash, Kind, LabelKind, Refusal,
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
        let held = patch::fields(stored)?;
        let since = if base >= self.head.version {
            all_forgotten(&change)
        } else if row_stamp > base {
            self.changed_since(kind, id, base, &held, &change).await?
        } else {
            ChangedSince::new()
        };
        match conflict::resolve(against, &since, &held, &change) {
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
        stored: &Fields,
        change: &Fields,
    ) -> Result<ChangedSince, Error> {
        // Below the floor it is forgotten which fields changed, so any may have.
        if base < self.floor {
            return Ok(all_forgotten(change));
        }
        let mut changes = self.recorded_changes(kind, id, base).await?;
        if changes.iter().any(|change| change.field == ALL_FIELDS) {
            return Ok(all_forgotten(change));
        }
        let mut forgotten = Vec::new();
        if kind == Kind::Story {
            for labels in [LabelKind::Tag, LabelKind::Fandom] {
                let field = labels.ids_field();
                let Some(held) = stored.get(field).filter(|_| change.contains_key(field)) else {
                    continue;
                };
                match self.lost_labels(labels, id, base).await? {
                    Some(lost) => add_lost(&mut changes, field, held, &lost),
                    None => forgotten.push((field.to_owned(), None)),
                }
            }
        }
        // Newest first, so that of several changes of a field the oldest, nearest the base, is kept.
        let known = changes
            .into_iter()
            .map(|change| (change.field, Some(change.was)));
        Ok(known.chain(forgotten).collect())
    }

    /// The recorded changes of a row after `base`, newest first.
    async fn recorded_changes(
        &self,
        kind: Kind,
        id: Uuid,
        base: Version,
    ) -> Result<Vec<FieldChange>, Error> {
        use field_change::Column;
        let rows: Vec<(i32, String, String)> = field_change::Entity::find()
            .select_only()
            .columns([Column::Stamp, Column::Field, Column::Was])
            .filter(Column::UserId.eq(self.user.as_str()))
            .filter(Column::Kind.eq(kind.name()))
            .filter(Column::Id.eq(id))
            .filter(Column::Stamp.gt(base.number()))
            .order_by_desc(Column::Stamp)
            .into_tuple()
            .all(&self.tx)
            .await?;
        let change = |(stamp, field, was): (i32, String, String)| {
            Ok(FieldChange {
                stamp: Version::new(stamp),
                field,
                was: serde_json::from_str(&was).map_err(Error::fault)?,
            })
        };
        rows.into_iter().map(change).collect()
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

/// That a field changed, and what it held before.
struct FieldChange {
    stamp: Version,
    field: String,
    was: Value,
}

/// Adds to a row's changes, newest first, those of a set of labels from which labels were `lost`, newest first. They
/// are not recorded with the row: what the set held before such a loss follows from what it held after it.
fn add_lost(changes: &mut Vec<FieldChange>, field: &str, stored: &Value, lost: &[LostLabel]) {
    let mut held = stored.clone();
    let mut recorded = changes
        .iter()
        .filter(|change| change.field == field)
        .peekable();
    let mut losses = Vec::with_capacity(lost.len());
    for LostLabel { stamp, label } in lost {
        while let Some(later) = recorded.next_if(|change| change.stamp > *stamp) {
            held = later.was.clone();
        }
        if let Value::Array(ids) = &mut held {
            ids.push(label.to_string().into());
            ids.sort_unstable_by(|one, other| one.as_str().cmp(&other.as_str()));
        }
        losses.push(FieldChange {
            stamp: *stamp,
            field: field.to_owned(),
            was: held.clone(),
        });
    }
    changes.extend(losses);
    changes.sort_by_key(|change| std::cmp::Reverse(change.stamp));
}

/// Every field of `change` has changed, and what it held is forgotten.
fn all_forgotten(change: &Fields) -> ChangedSince {
    change.keys().map(|field| (field.clone(), None)).collect()
}
