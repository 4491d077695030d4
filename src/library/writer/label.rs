//! Writing labels, and putting them on stories.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait as _, ExprTrait as _, FromQueryResult as _,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::LibraryWriter;
use crate::library::{
    Label, LabelId, LabelKind, LabelName, Refusal, StoryId,
    entity::label::{Column, Row, names},
    error::Error,
};

impl LibraryWriter {
    /// Makes a label.
    ///
    /// # Errors
    /// Refused when the user has one of this name, in whatever case, or of this id.
    pub async fn create_label(
        &mut self,
        kind: LabelKind,
        id: Option<LabelId>,
        name: LabelName,
    ) -> Result<Label, Error> {
        if let Some(existing) = self.find_label_named(kind, &name).await? {
            return Err(Refusal::already_exists("name", existing));
        }
        if let Some(LabelId(id)) = id
            && !self
                .existing(kind, &BTreeSet::from([LabelId(id)]))
                .await?
                .is_empty()
        {
            return Err(Refusal::already_exists("id", id));
        }
        let id = id.unwrap_or_else(LabelId::fresh);
        let label = Label {
            id,
            stamp: self.stamp(kind.into()),
            created_at: self.now,
            updated_at: self.now,
            name,
        };
        let at = |time| sea_orm::Value::from(sea_orm::prelude::TimeUnixTimestampMillis(time));
        let mut insert = Query::insert();
        insert.into_table(names(kind).table).columns([
            Column::UserId,
            Column::Id,
            Column::Stamp,
            Column::Name,
            Column::NameKey,
            Column::CreatedAt,
            Column::UpdatedAt,
        ]);
        insert.values_panic([
            self.user.as_str().into(),
            label.id.0.into(),
            label.stamp.number().into(),
            label.name.as_str().into(),
            label.name.key().into(),
            Expr::val(at(label.created_at)),
            Expr::val(at(label.updated_at)),
        ]);
        self.tx.execute(&insert).await?;
        Ok(label)
    }

    /// The labels of these ids, by name.
    ///
    /// # Errors
    /// Refused when one is unknown.
    pub(super) async fn labels(
        &self,
        kind: LabelKind,
        ids: &BTreeSet<LabelId>,
    ) -> Result<Vec<Label>, Error> {
        let labels = self.existing(kind, ids).await?;
        if labels.len() == ids.len() {
            return Ok(labels);
        }
        let missing = ids
            .iter()
            .find(|id| !labels.iter().any(|label| label.id == **id));
        Err(missing.map_or_else(
            || Error::fault("more labels than ids"),
            |id| Refusal::not_found(kind.ids_field(), id.0),
        ))
    }

    async fn existing(
        &self,
        kind: LabelKind,
        ids: &BTreeSet<LabelId>,
    ) -> Result<Vec<Label>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let select = Query::select()
            .columns(Column::ROW)
            .from(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::Id).is_in(ids.iter().map(|id| id.0)))
            .order_by(Column::NameKey, sea_orm::Order::Asc)
            .to_owned();
        let rows = self.tx.query_all(&select).await?;
        rows.iter()
            .map(|row| Ok(Row::from_query_result(row, "")?.into()))
            .collect()
    }

    async fn find_label_named(
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

    /// The labels now on a story.
    pub(super) async fn linked(
        &self,
        kind: LabelKind,
        story: StoryId,
    ) -> Result<BTreeSet<LabelId>, Error> {
        let names = names(kind);
        let select = Query::select()
            .expr_as(Expr::col(names.link_column), "id")
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::StoryId).eq(story.0))
            .to_owned();
        let rows = self.tx.query_all(&select).await?;
        rows.iter()
            .map(|row| Ok(LabelId(row.try_get("", "id")?)))
            .collect()
    }

    /// Puts labels on a story, which the caller stamps.
    pub(super) async fn link(
        &mut self,
        kind: LabelKind,
        story: StoryId,
        ids: &BTreeSet<LabelId>,
    ) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let names = names(kind);
        let mut insert = Query::insert();
        insert.into_table(names.link_table).columns([
            sea_orm::sea_query::DynIden::from(Column::UserId),
            Column::StoryId.into(),
            names.link_column.into(),
        ]);
        for id in ids {
            insert.values_panic([self.user.as_str().into(), story.0.into(), id.0.into()]);
        }
        self.tx.execute(&insert).await?;
        Ok(())
    }

    /// Takes labels off a story, which the caller stamps.
    pub(super) async fn unlink(
        &mut self,
        kind: LabelKind,
        story: StoryId,
        ids: &BTreeSet<LabelId>,
    ) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let names = names(kind);
        let delete = Query::delete()
            .from_table(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::StoryId).eq(story.0))
            .and_where(Expr::col(names.link_column).is_in(ids.iter().map(|id| id.0)))
            .to_owned();
        self.tx.execute(&delete).await?;
        Ok(())
    }
}
