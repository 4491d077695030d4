//! Which labels are on which stories. A link belongs to its story: whoever changes one stamps the story.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, ExprTrait as _, FromQueryResult as _,
    QueryFilter as _,
    sea_query::{DynIden, Expr, Query, SelectStatement},
};
use serde_json::Value;

use super::{LibraryWriter, ROWS_A_STATEMENT};
use crate::library::{
    Kind, Label, LabelId, LabelKind, Refusal, StoryId,
    entity::{
        label::{Column, Row, names},
        millis, story,
    },
    error::Error,
};

impl LibraryWriter {
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

    /// Those of these labels that there are, by name.
    pub(super) async fn existing(
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
        let links: Vec<_> = ids.iter().map(|id| (story, *id)).collect();
        self.insert_links(kind, &links).await
    }

    /// Puts labels on stories, which the caller stamps.
    pub(super) async fn insert_links(
        &mut self,
        kind: LabelKind,
        links: &[(StoryId, LabelId)],
    ) -> Result<(), Error> {
        let names = names(kind);
        for some in links.chunks(ROWS_A_STATEMENT) {
            let mut insert = Query::insert();
            insert.into_table(names.link_table.clone()).columns([
                DynIden::from(Column::UserId),
                Column::StoryId.into(),
                names.link_column.clone().into(),
            ]);
            for (story, label) in some {
                insert.values_panic([self.user.as_str().into(), story.0.into(), label.0.into()]);
            }
            self.tx.execute(&insert).await?;
        }
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

    /// Changes which labels are on a story, which the caller stamps.
    pub(super) async fn relink(
        &mut self,
        kind: LabelKind,
        story: StoryId,
        before: &BTreeSet<LabelId>,
        after: &BTreeSet<LabelId>,
    ) -> Result<(), Error> {
        self.unlink(kind, story, &(before - after)).await?;
        self.link(kind, story, &(after - before)).await
    }

    /// Takes a label off every story that carries it, and stamps them.
    pub(super) async fn take_off_all(&mut self, kind: LabelKind, id: LabelId) -> Result<(), Error> {
        let names = names(kind);
        let carriers = Query::select()
            .column(Column::StoryId)
            .from(names.link_table.clone())
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column.clone()).eq(id.0))
            .to_owned();
        let before = self.sets_of(kind, carriers.clone()).await?;
        if before.is_empty() {
            return Ok(());
        }
        let field = kind.ids_field();
        let changes = before.into_iter().map(|(story, ids)| {
            let was = ids.iter().map(|id| Value::from(id.to_string())).collect();
            self.field_change(Kind::Story, story.0, field.to_owned(), &was)
        });
        self.insert_field_changes(changes.collect()).await?;
        let stamp = self.stamp(Kind::Story).number();
        story::Entity::update_many()
            .col_expr(story::Column::Stamp, stamp.into())
            .col_expr(story::Column::UpdatedAt, Expr::val(millis(self.now)))
            .filter(story::Column::UserId.eq(self.user.as_str()))
            .filter(story::Column::Id.in_subquery(carriers))
            .exec(&self.tx)
            .await?;
        let unlink = Query::delete()
            .from_table(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column).eq(id.0))
            .to_owned();
        self.tx.execute(&unlink).await?;
        Ok(())
    }

    /// All labels of one kind that are on each of these stories.
    async fn sets_of(
        &self,
        kind: LabelKind,
        stories: SelectStatement,
    ) -> Result<BTreeMap<StoryId, BTreeSet<LabelId>>, Error> {
        let names = names(kind);
        let select = Query::select()
            .column(Column::StoryId)
            .expr_as(Expr::col(names.link_column), "id")
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(Column::StoryId).in_subquery(stories))
            .to_owned();
        let mut sets = BTreeMap::<_, BTreeSet<_>>::new();
        for row in self.tx.query_all(&select).await? {
            let story = StoryId(row.try_get("", "story_id")?);
            let label = LabelId(row.try_get("", "id")?);
            sets.entry(story).or_default().insert(label);
        }
        Ok(sets)
    }
}
