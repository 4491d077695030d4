//! The filter of stories by their labels.
//!
//! If few stories have a label, the list reads and sorts those. If many have it, the list walks its order and checks each
//! entry, until the page is full. The databases cannot choose, because a cached plan serves labels of all sizes. So the
//! sizes are counted first, up to [`FEW`].

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ConnectionTrait, DbBackend, ExprTrait as _,
    sea_query::{Expr, Query},
};

use crate::{
    library::{
        database::any_of::one_of,
        entity::{
            label::{Column, names},
            progress,
        },
        error::Error,
        model::{id::LabelId, label::LabelKind},
    },
    version::UserId,
};

/// The most stories of a label that a list sorts.
const FEW: i64 = 2_000;

/// A filter of stories by labels of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelFilter {
    /// At least one of these.
    pub any: BTreeSet<LabelId>,
    /// All of these.
    pub all: BTreeSet<LabelId>,
}

/// The number of stories of each label, at most one more than [`FEW`]. Unknown labels are absent: they have none.
#[derive(Debug, Default)]
pub(super) struct LabelSizes(HashMap<LabelId, i64>);

impl LabelSizes {
    /// Whether few stories have the labels of a filter, so that a list reads and sorts those.
    pub fn are_few(&self, filter: &LabelFilter) -> bool {
        let any = || filter.any.iter().map(|id| self.of(*id)).sum::<i64>();
        let fewest = filter.all.iter().map(|id| self.of(*id)).min();
        (!filter.any.is_empty() && any() <= FEW) || fewest.is_some_and(|fewest| fewest <= FEW)
    }

    fn of(&self, label: LabelId) -> i64 {
        self.0.get(&label).copied().unwrap_or_default()
    }

    /// Counts the stories of labels of one kind.
    pub async fn count(
        &mut self,
        db: &impl ConnectionTrait,
        user: &UserId,
        kind: LabelKind,
        filter: &LabelFilter,
    ) -> Result<(), Error> {
        if filter.any.is_empty() && filter.all.is_empty() {
            return Ok(());
        }
        let names = names(kind);
        let (links, label) = (names.link_table.0, names.link_column.0);
        let ids = filter.any.union(&filter.all).map(|id| id.0);
        let sizes = format!(
            "(SELECT count(*) FROM (SELECT 1 FROM {links} AS link WHERE link.user_id = label.user_id AND link.{label} = label.id \
             LIMIT {}) AS first)",
            FEW + 1
        );
        let select = Query::select()
            .column(Column::Id)
            .expr_as(Expr::cust(sizes), "stories")
            .from_as(names.table, "label")
            .and_where(Expr::col(Column::UserId).eq(user.as_str()))
            .and_where(one_of(
                db.get_database_backend(),
                Expr::col(Column::Id),
                ids,
            ))
            .to_owned();
        for row in db.query_all(&select).await? {
            let label = LabelId(row.try_get("", "id")?);
            self.0.insert(label, row.try_get("", "stories")?);
        }
        Ok(())
    }
}

impl LabelFilter {
    /// Maximum size of each set.
    pub const MAX: usize = 100;

    /// The conditions on a progress. Without `sizes`, all entries are read, so no order is walked.
    pub(super) fn conditions(
        &self,
        backend: DbBackend,
        user: &UserId,
        kind: LabelKind,
        sizes: Option<&LabelSizes>,
    ) -> Vec<Expr> {
        let has = |labels: &[LabelId], is_checked| has_one(backend, user, kind, labels, is_checked);
        let mut conditions = Vec::new();
        if !self.any.is_empty() {
            let any: Vec<_> = self.any.iter().copied().collect();
            let size = |sizes: &LabelSizes| any.iter().map(|id| sizes.of(*id)).sum::<i64>();
            conditions.push(has(&any, sizes.is_some_and(|sizes| size(sizes) > FEW)));
        }
        let fewest = sizes.and_then(|sizes| {
            let all = self.all.iter().map(|id| (sizes.of(*id), *id));
            all.min()
        });
        for label in &self.all {
            let is_read = fewest.is_none_or(|(size, fewest)| size <= FEW && *label == fewest);
            conditions.push(has(&[*label], !is_read));
        }
        conditions
    }
}

/// The condition that a story has one of these labels. If it `is_checked`, each entry is looked up; otherwise the stories
/// of the labels are read.
fn has_one(
    backend: DbBackend,
    user: &UserId,
    kind: LabelKind,
    labels: &[LabelId],
    is_checked: bool,
) -> Expr {
    let names = names(kind);
    let story = Expr::col((progress::Entity, progress::Column::StoryId));
    let mut links = Query::select();
    links
        .from(names.link_table.clone())
        .and_where(Expr::col((names.link_table.clone(), Column::UserId)).eq(user.as_str()))
        .and_where(one_of(
            backend,
            Expr::col((names.link_table.clone(), names.link_column)),
            labels.iter().map(|label| label.0),
        ));
    if !is_checked {
        links.column(Column::StoryId);
        return story.in_subquery(links);
    }
    let link = Expr::col((names.link_table, Column::StoryId));
    links.expr(Expr::val(1)).and_where(link.eq(story));
    if backend == DbBackend::Postgres {
        // Otherwise PostgreSQL would make it a join, and read all stories of the labels.
        links.offset(0);
    }
    Expr::exists(links)
}
