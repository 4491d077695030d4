//! The first statement of a page: the user's row, the changed labels and tombstones, and the newest stamps of stories and
//! progresses. Most pages need at most one more.
//!
//! **Invariant:** one statement sees one state of the library.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, FromQueryResult as _,
    JoinType, Order, QueryResult, QueryTrait as _,
    sea_query::{Asterisk, Condition, Expr, Query, SelectStatement, UnionType},
};

use super::{
    change::{Change, REMOVED, Tombstone, label_rank},
    page::Read,
    source::{First, Source},
};
use crate::{
    library::{
        entity::{
            label::{Column, Row, names},
            tombstone, user,
        },
        error::Error,
        model::label::LabelKind,
    },
    version::Version,
};

const TAG: u8 = label_rank(LabelKind::Tag);
const FANDOM: u8 = label_rank(LabelKind::Fandom);

/// The columns of a tombstone, in the places of a label's columns.
const TOMBSTONE: [tombstone::Column; 6] = [
    tombstone::Column::Id,
    tombstone::Column::Stamp,
    tombstone::Column::CreatedStamp,
    tombstone::Column::Kind,
    tombstone::Column::RemovedAt,
    tombstone::Column::RemovedAt,
];

impl<C: ConnectionTrait> Source<'_, C> {
    /// Runs the statement. Returns `None` if the user has no row.
    pub async fn first(&self) -> Result<Option<First>, Error> {
        // The newest stamp is one step of an index. A search for any newer row might be a scan: a database that knows
        // nothing of the stamps expects that a third of all rows are newer.
        let newest = |table| {
            let rows = Query::select()
                .expr(Expr::col("stamp").max())
                .from(table)
                .and_where(Expr::col("user_id").eq(Expr::col("subject")))
                .to_owned();
            Expr::SubQuery(None, Box::new(rows.into()))
        };
        let mut viewer = user::Entity::find_by_id(self.user.as_str()).into_query();
        viewer
            .expr_as(newest("topaz_story"), "newest_story")
            .expr_as(newest("topaz_progress"), "newest_progress")
            // With a limit, it is read once, and not for each row of the join.
            .limit(1);
        let select = Query::select()
            .column(Asterisk)
            .from_subquery(viewer, "viewer")
            .join_subquery(JoinType::LeftJoin, self.small(), "small", Condition::all())
            .to_owned();
        let rows = self.db.query_all(&select).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let newest = |name| Ok::<_, Error>(row.try_get::<Option<i32>>("", name)?.map(Version::new));
        let (mut tags, mut fandoms, mut tombstones) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            match row.try_get::<Option<i16>>("", "rank")?.map(u8::try_from) {
                None => {}
                Some(Ok(TAG)) => tags.push(label(LabelKind::Tag, row)?),
                Some(Ok(FANDOM)) => fandoms.push(label(LabelKind::Fandom, row)?),
                Some(_) => tombstones.push(removed(row)?),
            }
        }
        Ok(Some(First {
            user: user::Model::from_query_result(row, "")?,
            tags: Read::whole(tags),
            fandoms: Read::whole(fandoms),
            tombstones: Read::whole(tombstones),
            newest_story: newest("newest_story")?,
            newest_progress: newest("newest_progress")?,
        }))
    }

    /// Selects the labels and tombstones of the page, with their ranks.
    fn small(&self) -> SelectStatement {
        let mut all = arm("tag", self.labels(LabelKind::Tag));
        all.union(
            UnionType::All,
            arm("fandom", self.labels(LabelKind::Fandom)),
        );
        if let Some(tombstones) = self.tombstones() {
            all.union(UnionType::All, arm("tombstone", tombstones));
        }
        all
    }

    fn labels(&self, kind: LabelKind) -> SelectStatement {
        let rank = label_rank(kind);
        let beyond = self.beyond(rank, Expr::col(Column::Stamp), Expr::col(Column::Id));
        ranked(rank)
            .columns(Column::ROW)
            .from(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .cond_where(beyond)
            .order_by(Column::Stamp, Order::Asc)
            .order_by(Column::Id, Order::Asc)
            .limit(self.limit)
            .to_owned()
    }

    fn tombstones(&self) -> Option<SelectStatement> {
        use tombstone::Column::{Id, Kind, Stamp, UserId};
        // An empty cache needs only the removals since the walk began.
        let from = if self.since.number() == 0 {
            self.after?.began
        } else {
            self.since
        };
        let select = ranked(REMOVED)
            .columns(TOMBSTONE)
            .from(tombstone::Entity)
            .and_where(UserId.eq(self.user.as_str()))
            .and_where(Stamp.gt(from.number()))
            .cond_where(self.beyond_removed())
            .order_by(Stamp, Order::Asc)
            .order_by(Id, Order::Asc)
            .order_by(Kind, Order::Asc)
            .limit(self.limit)
            .to_owned();
        Some(select)
    }
}

/// Begins a statement whose rows have a rank.
fn ranked(rank: u8) -> SelectStatement {
    let rank = Expr::cust(format!("CAST({rank} AS smallint)"));
    Query::select().expr_as(rank, "rank").to_owned()
}

/// Wraps a statement with a limit as an arm of a union.
fn arm(name: &'static str, rows: SelectStatement) -> SelectStatement {
    Query::select()
        .column(Asterisk)
        .from_subquery(rows, name)
        .to_owned()
}

fn label(kind: LabelKind, row: &QueryResult) -> Result<Change, Error> {
    Ok(Change::Label(kind, Row::from_query_result(row, "")?.into()))
}

fn removed(row: &QueryResult) -> Result<Change, Error> {
    let kind: String = row.try_get("", "name")?;
    Ok(Change::Removed(Tombstone {
        kind: tombstone::kind(&kind)?,
        id: row.try_get("", "id")?,
        stamp: Version::new(row.try_get("", "stamp")?),
    }))
}
