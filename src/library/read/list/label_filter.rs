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
            label::{Column, names, select_story_counts, story_counts_in},
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
        (!filter.any.is_empty() && self.have_few(&filter.any)) || self.rare(&filter.all).is_some()
    }

    /// Whether few stories have one of these labels.
    fn have_few(&self, labels: &BTreeSet<LabelId>) -> bool {
        labels.iter().map(|id| self.of(*id)).sum::<i64>() <= FEW
    }

    /// The label that the fewest stories have, if they are few.
    fn rare(&self, labels: &BTreeSet<LabelId>) -> Option<LabelId> {
        let (size, fewest) = labels.iter().map(|id| (self.of(*id), *id)).min()?;
        (size <= FEW).then_some(fewest)
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
        let ids = filter.any.union(&filter.all).map(|id| id.0);
        let mut select = select_story_counts(user, kind, Some(FEW + 1));
        select.and_where(one_of(
            db.get_database_backend(),
            Expr::col(Column::Id),
            ids,
        ));
        self.0
            .extend(story_counts_in(&db.query_all(&select).await?)?);
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
            conditions.push(has(
                &any,
                sizes.is_some_and(|sizes| !sizes.have_few(&self.any)),
            ));
        }
        let rare = sizes.map(|sizes| sizes.rare(&self.all));
        for label in &self.all {
            let is_read = rare.is_none_or(|rare| rare == Some(*label));
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
