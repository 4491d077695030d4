//! Writes of labels.

use sea_orm::{
    ConnectionTrait as _, ExprTrait as _,
    sea_query::{Expr, InsertStatement, OnConflict, Query},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    conflict::Against,
    conflict_resolution::Target,
    writer::{LibraryWriter, ROWS_A_STATEMENT, Updated},
};
use crate::library::{
    entity::{
        columns::millis,
        label::{Column, names},
    },
    error::{Error, Refusal},
    model::{
        id::LabelId,
        label::{Label, LabelKind, LabelName},
        limits::Usage,
    },
};

impl Label {
    /// The storage that it uses.
    fn usage(&self, kind: LabelKind) -> Usage {
        let texts = Usage::texts([self.name.as_str()]);
        match kind {
            LabelKind::Tag => Usage { tags: 1, ..texts },
            LabelKind::Fandom => Usage {
                fandoms: 1,
                ..texts
            },
        }
    }
}

impl LibraryWriter {
    /// Creates a label.
    ///
    /// # Errors
    /// Refused when the name (ignoring case) or the id exists, or a limit is exceeded.
    pub async fn create_label(
        &mut self,
        kind: LabelKind,
        id: Option<LabelId>,
        name: LabelName,
    ) -> Result<Label, Error> {
        let Some(id) = id else {
            return self.create_fresh_label(kind, name).await;
        };
        if let Some(existing) = self.find_label_named(kind, &name).await? {
            return Err(Refusal::already_exists("name", existing));
        }
        if !self.existing(kind, &[id].into()).await?.is_empty() {
            return Err(Refusal::already_exists("id", id.0));
        }
        let label = self.new_label(kind, id, name);
        self.unbury(kind.into(), id.0).await?;
        self.insert_labels(kind, std::slice::from_ref(&label))
            .await?;
        Ok(label)
    }

    /// Creates a label under a new id, which cannot be in use: one statement inserts it unless its name exists.
    async fn create_fresh_label(
        &mut self,
        kind: LabelKind,
        name: LabelName,
    ) -> Result<Label, Error> {
        let label = self.new_label(kind, LabelId::fresh(), name);
        let insert = self
            .insert_of(kind, std::slice::from_ref(&label))
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .to_owned();
        if self.tx.execute(&insert).await?.rows_affected() == 0 {
            let existing = self.find_label_named(kind, &label.name).await?;
            let missing = || Error::fault("a label conflicts with none");
            return Err(Refusal::already_exists(
                "name",
                existing.ok_or_else(missing)?,
            ));
        }
        self.grow(label.usage(kind));
        Ok(label)
    }

    /// Renames a label. Stamps only if a value changes. Its stories are not stamped.
    ///
    /// # Errors
    /// Refused when the label does not exist, the name exists (ignoring case), or the change conflicts.
    pub async fn rename_label(
        &mut self,
        kind: LabelKind,
        id: LabelId,
        name: LabelName,
        against: Against,
    ) -> Result<Updated<Label>, Error> {
        let found = self.existing(kind, &[id].into()).await?.pop();
        let mut row = found.ok_or_else(|| Refusal::not_found("id", id.0))?;
        let target = Target {
            kind: kind.into(),
            id: id.0,
            stamp: row.stamp,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        let (before, change) = (Named { name: row.name }, Named { name });
        let (after, left) = self.resolve(target, &before, &change, against).await?;
        if after == before {
            row.name = before.name;
        } else {
            let existing = self.find_label_named(kind, &after.name).await?;
            if let Some(other) = existing.filter(|other| *other != id.0) {
                return Err(Refusal::already_exists("name", other));
            }
            row.name = before.name;
            row = self.store_name(kind, row, after.name).await?;
        }
        Ok(Updated { row, left })
    }

    /// Stamps and stores a changed name.
    pub(super) async fn store_name(
        &mut self,
        kind: LabelKind,
        mut row: Label,
        name: LabelName,
    ) -> Result<Label, Error> {
        let (before, after) = (Named { name: row.name }, Named { name });
        self.record(kind.into(), row.id.0, &before, &after).await?;
        self.shrink(Usage::texts([before.name.as_str()]));
        self.grow(Usage::texts([after.name.as_str()]));
        row.name = after.name;
        row.stamp = self.stamp(kind.into());
        row.updated_at = self.now;
        self.store_label(kind, &row).await?;
        Ok(row)
    }

    /// Deletes a label with a tombstone, and removes it from its stories, which are stamped. The numbers of statements and
    /// of history rows hardly depend on the number of stories.
    ///
    /// # Errors
    /// Refused when the label does not exist.
    pub async fn delete_label(&mut self, kind: LabelKind, id: LabelId) -> Result<LabelId, Error> {
        let found = self.existing(kind, &[id].into()).await?.pop();
        let label = found.ok_or_else(|| Refusal::not_found("id", id.0))?;
        self.shrink(label.usage(kind));
        self.remove_from_stories(kind, id).await?;
        let delete = Query::delete()
            .from_table(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::Id).eq(id.0))
            .to_owned();
        self.tx.execute(&delete).await?;
        self.bury(kind.into(), id.0, label.created_stamp, &label)
            .await?;
        Ok(id)
    }

    /// Stamps the row of a new label.
    pub(super) fn new_label(&mut self, kind: LabelKind, id: LabelId, name: LabelName) -> Label {
        let stamp = self.stamp(kind.into());
        Label {
            id,
            stamp,
            created_stamp: stamp,
            created_at: self.now,
            updated_at: self.now,
            name,
        }
    }

    pub(super) async fn insert_labels(
        &mut self,
        kind: LabelKind,
        labels: &[Label],
    ) -> Result<(), Error> {
        for label in labels {
            self.grow(label.usage(kind));
        }
        for some in labels.chunks(ROWS_A_STATEMENT) {
            let insert = self.insert_of(kind, some);
            self.tx.execute(&insert).await?;
        }
        Ok(())
    }

    fn insert_of(&self, kind: LabelKind, labels: &[Label]) -> InsertStatement {
        let mut insert = Query::insert();
        insert.into_table(names(kind).table).columns([
            Column::UserId,
            Column::Id,
            Column::Stamp,
            Column::CreatedStamp,
            Column::Name,
            Column::NameKey,
            Column::CreatedAt,
            Column::UpdatedAt,
        ]);
        for label in labels {
            insert.values_panic([
                self.user.as_str().into(),
                label.id.0.into(),
                label.stamp.number().into(),
                label.created_stamp.number().into(),
                label.name.as_str().into(),
                label.name.key().into(),
                Expr::val(at(label.created_at)),
                Expr::val(at(label.updated_at)),
            ]);
        }
        insert
    }

    /// Stores the name of an existing label.
    pub(super) async fn store_label(&self, kind: LabelKind, row: &Label) -> Result<(), Error> {
        let update = Query::update()
            .table(names(kind).table)
            .value(Column::Stamp, row.stamp.number())
            .value(Column::Name, row.name.as_str())
            .value(Column::NameKey, row.name.key())
            .value(Column::UpdatedAt, Expr::val(at(row.updated_at)))
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::Id).eq(row.id.0))
            .to_owned();
        self.tx.execute(&update).await?;
        Ok(())
    }

    pub(super) async fn find_label_named(
        &self,
        kind: LabelKind,
        name: &LabelName,
    ) -> Result<Option<Uuid>, Error> {
        let select = Query::select()
            .column(Column::Id)
            .from(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::NameKey).eq(name.key()))
            .to_owned();
        let row = self.tx.query_one(&select).await?;
        Ok(row.map(|row| row.try_get("", "id")).transpose()?)
    }
}

/// The fields of a label that a user may change.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Named {
    name: LabelName,
}

fn at(time: OffsetDateTime) -> sea_orm::Value {
    sea_orm::Value::from(millis(time))
}
