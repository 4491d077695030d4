//! Links between labels and stories. A link belongs to its story: changing it stamps the story.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait as _, ExprTrait as _,
    sea_query::{DynIden, Expr, Query, UnionType},
};

use super::writer::{LibraryWriter, ROWS_A_STATEMENT};
use crate::library::{
    database::any_of::one_of,
    entity::label::{Column, labels_in, names, select_by_name},
    error::{Error, Refusal},
    model::{
        id::{LabelId, StoryId},
        label::{Label, LabelKind},
        limits::Usage,
    },
};

impl LibraryWriter {
    /// Returns the labels with these ids, by name.
    ///
    /// # Errors
    /// Refused when one does not exist.
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

    /// Returns the labels with these ids that exist, by name.
    pub(super) async fn existing(
        &self,
        kind: LabelKind,
        ids: &BTreeSet<LabelId>,
    ) -> Result<Vec<Label>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (backend, ids) = (self.tx.get_database_backend(), ids.iter().map(|id| id.0));
        let mut select = select_by_name(&self.user, kind);
        select.and_where(one_of(backend, Expr::col(Column::Id), ids));
        Ok(labels_in(&self.tx.query_all(&select).await?)?)
    }

    /// Returns the tags and the fandoms of a story, in one statement.
    pub(super) async fn all_linked(&self, story: StoryId) -> Result<[BTreeSet<LabelId>; 2], Error> {
        let of_kind = |kind: LabelKind| {
            let names = names(kind);
            Query::select()
                .expr_as(Expr::val(kind == LabelKind::Tag), "is_tag")
                .expr_as(Expr::col(names.link_column), "id")
                .from(names.link_table)
                .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
                .and_where(Expr::col(Column::StoryId).eq(story.0))
                .to_owned()
        };
        let select = of_kind(LabelKind::Tag)
            .union(UnionType::All, of_kind(LabelKind::Fandom))
            .to_owned();
        let [mut tags, mut fandoms] = [BTreeSet::new(), BTreeSet::new()];
        for row in self.tx.query_all(&select).await? {
            let ids = if row.try_get("", "is_tag")? {
                &mut tags
            } else {
                &mut fandoms
            };
            ids.insert(LabelId(row.try_get("", "id")?));
        }
        Ok([tags, fandoms])
    }

    /// Adds labels to a story, which the caller stamps.
    pub(super) async fn link(
        &mut self,
        kind: LabelKind,
        story: StoryId,
        ids: &BTreeSet<LabelId>,
    ) -> Result<(), Error> {
        let links: Vec<_> = ids.iter().map(|id| (story, *id)).collect();
        self.insert_links(kind, &links).await
    }

    /// Adds links to stories, which the caller stamps.
    pub(super) async fn insert_links(
        &mut self,
        kind: LabelKind,
        links: &[(StoryId, LabelId)],
    ) -> Result<(), Error> {
        self.grow(Usage::links(links.len()));
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

    /// Removes labels from a story, which the caller stamps.
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
            .and_where(one_of(
                self.tx.get_database_backend(),
                Expr::col(names.link_column),
                ids.iter().map(|id| id.0),
            ))
            .to_owned();
        let deleted = self.tx.execute(&delete).await?;
        self.shrink(Usage::links(deleted.rows_affected()));
        Ok(())
    }

    /// Replaces the labels of a story, which the caller stamps.
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
}
