//! Where the changes of one page come from: a statement for each kind of row, each a walk of the index on its stamps.

use std::{cmp::Ordering, collections::BTreeSet};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, ExprTrait as _, FromQueryResult as _,
    IntoSimpleExpr, Order, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, Query},
};

use super::changes::{Change, DeltaCursor, PROGRESS, REMOVED, REMOVED_KINDS, STORY, label_rank};
use crate::{
    library::{
        database::transaction::Transaction,
        entity::{
            label::{Column, Row, names},
            progress, story, tombstone,
        },
        error::Error,
        model::{label::LabelKind, story::Story},
        read::rows::labels_of,
    },
    version::{UserId, Version},
};

/// Where the changes of one page come from.
pub(super) struct Source<'a> {
    pub tx: &'a Transaction,
    pub user: &'a UserId,
    pub since: Version,
    pub after: Option<DeltaCursor>,
    /// One more than the page holds, to know whether there is a next.
    pub limit: u64,
}

impl Source<'_> {
    /// The rows of `rank` that come after the place where this page begins.
    fn beyond(&self, rank: u8, stamp: impl IntoSimpleExpr, id: impl IntoSimpleExpr) -> Condition {
        let (stamp, id) = (stamp.into_simple_expr(), id.into_simple_expr());
        let Some(after) = self.after else {
            return Condition::all().add(stamp.gt(self.since.number()));
        };
        let at = after.stamp.number();
        match rank.cmp(&after.rank) {
            Ordering::Less => Condition::all().add(stamp.gt(at)),
            Ordering::Greater => Condition::all().add(stamp.gte(at)),
            // As one comparison of pairs, which is a place in the index: no row before it is looked at.
            Ordering::Equal => Condition::all().add(Expr::tuple([stamp, id]).gt(place_of(after))),
        }
    }

    /// The tombstones that come after the place where this page begins.
    fn beyond_removed(&self) -> Condition {
        use tombstone::Column::{Id, Kind, Stamp};
        let Some(after) = self.after.filter(|after| after.rank >= REMOVED) else {
            return self.beyond(REMOVED, Stamp, Id);
        };
        let told = usize::from(after.rank - REMOVED) + 1;
        let later = REMOVED_KINDS.iter().skip(told).map(|kind| kind.name());
        let place = Expr::tuple([Stamp.into_simple_expr(), Id.into_simple_expr()]);
        Condition::all()
            .add(place.clone().gte(place_of(after)))
            .add(
                Condition::any()
                    .add(place.gt(place_of(after)))
                    .add(Kind.is_in(later)),
            )
    }

    pub async fn labels(&self, kind: LabelKind) -> Result<Vec<Change>, Error> {
        let beyond = self.beyond(
            label_rank(kind),
            Expr::col(Column::Stamp),
            Expr::col(Column::Id),
        );
        let select = Query::select()
            .columns(Column::ROW)
            .from(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .cond_where(beyond)
            .order_by(Column::Stamp, Order::Asc)
            .order_by(Column::Id, Order::Asc)
            .limit(self.limit)
            .to_owned();
        let rows = self.tx.query_all(&select).await?;
        rows.iter()
            .map(|row| Ok(Change::Label(kind, Row::from_query_result(row, "")?.into())))
            .collect()
    }

    pub async fn stories(&self) -> Result<Vec<Change>, Error> {
        use story::Column::{Id, Stamp, UserId};
        let rows = story::find()
            .filter(UserId.eq(self.user.as_str()))
            .filter(self.beyond(STORY, Stamp, Id))
            .order_by_asc(Stamp)
            .order_by_asc(Id)
            .limit(self.limit)
            .all(self.tx)
            .await?;
        let change = |row| {
            let story = Story::try_from(row)?;
            Ok(Change::Story {
                story,
                tags: Vec::new(),
                fandoms: Vec::new(),
            })
        };
        rows.into_iter().map(change).collect()
    }

    pub async fn progresses(&self) -> Result<Vec<Change>, Error> {
        use progress::Column::{Id, Stamp, UserId};
        let rows = progress::find()
            .filter(UserId.eq(self.user.as_str()))
            .filter(self.beyond(PROGRESS, Stamp, Id))
            .order_by_asc(Stamp)
            .order_by_asc(Id)
            .limit(self.limit)
            .all(self.tx)
            .await?;
        rows.into_iter()
            .map(|row| Ok(Change::Progress(row.try_into()?)))
            .collect()
    }

    pub async fn tombstones(&self) -> Result<Vec<Change>, Error> {
        use tombstone::Column::{Id, Kind, Stamp, UserId};
        // Who has nothing yet needs to hear of no removal but those during its walk.
        let from = if self.since.number() == 0 {
            self.after.map(|cursor| cursor.began)
        } else {
            Some(self.since)
        };
        let Some(from) = from else {
            return Ok(Vec::new());
        };
        let rows = tombstone::find()
            .filter(UserId.eq(self.user.as_str()))
            .filter(Stamp.gt(from.number()))
            .filter(self.beyond_removed())
            .order_by_asc(Stamp)
            .order_by_asc(Id)
            .order_by_asc(Kind)
            .limit(self.limit)
            .all(self.tx)
            .await?;
        rows.into_iter()
            .map(|row| Ok(Change::Removed(row.try_into()?)))
            .collect()
    }

    /// Fills in the labels of the page's stories.
    pub async fn add_labels(&self, changes: &mut [Change]) -> Result<(), Error> {
        let id = |change: &Change| match change {
            Change::Story { story, .. } => Some(story.id),
            _ => None,
        };
        let stories: BTreeSet<_> = changes.iter().filter_map(id).collect();
        if stories.is_empty() {
            return Ok(());
        }
        let mut all_tags = labels_of(self.tx, self.user, LabelKind::Tag, Some(&stories)).await?;
        let mut all_fandoms =
            labels_of(self.tx, self.user, LabelKind::Fandom, Some(&stories)).await?;
        for change in changes {
            if let Change::Story {
                story,
                tags,
                fandoms,
            } = change
            {
                *tags = all_tags.remove(&story.id).unwrap_or_default();
                *fandoms = all_fandoms.remove(&story.id).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// The stamp and the id of a place, to compare with those of rows.
fn place_of(cursor: DeltaCursor) -> Expr {
    Expr::tuple([Expr::val(cursor.stamp.number()), Expr::val(cursor.id)])
}
