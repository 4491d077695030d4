//! The first statement of a page: the user's row, and which kinds of rows changed. Most pages have changes of one kind,
//! and the others need no statement.

use sea_orm::{
    ConnectionTrait as _, EntityTrait as _, ExprTrait as _, FromQueryResult as _, QueryTrait as _,
    sea_query::{Expr, IntoTableRef as _, Query, SimpleExpr, TableRef},
};

use super::change::{DeltaCursor, Since};
use crate::{
    library::{
        database::transaction::Transaction,
        entity::{label::names, progress, story, tombstone, user},
        error::Error,
        model::label::LabelKind,
    },
    version::{UserId, Version},
};

/// Whether rows of a kind have stamps at or after the start of a page: tags, fandoms, stories, progresses, tombstones.
pub(super) type ChangedKinds = [bool; 5];

/// The columns with the newest stamps, in the same order.
const NEWEST: [&str; 5] = [
    "newest_tags",
    "newest_fandoms",
    "newest_stories",
    "newest_progresses",
    "newest_tombstones",
];

/// Reads the user's row, and the kinds of the page after the cursor.
pub(super) async fn user_and_kinds(
    tx: &Transaction,
    user: &UserId,
    since: Since,
    after: Option<DeltaCursor>,
) -> Result<(user::Model, ChangedKinds), Error> {
    // The newest stamp is one step of an index. A search for any newer row might be a scan: a database that knows nothing
    // of the stamps expects that a third of all rows are newer.
    let newest = |table: TableRef| {
        let rows = Query::select()
            .expr(Expr::col("stamp").max())
            .from(table)
            .and_where(Expr::col("user_id").eq(Expr::col("subject")))
            .to_owned();
        SimpleExpr::SubQuery(None, Box::new(rows.into()))
    };
    let tables = [
        names(LabelKind::Tag).table.into_table_ref(),
        names(LabelKind::Fandom).table.into_table_ref(),
        story::Entity.into_table_ref(),
        progress::Entity.into_table_ref(),
        tombstone::Entity.into_table_ref(),
    ];
    let mut select = user::Entity::find_by_id(user.as_str()).into_query();
    for (name, table) in NEWEST.into_iter().zip(tables) {
        select.expr_as(newest(table), name);
    }
    let row = tx.query_one(&select).await?;
    let row = row.ok_or_else(|| Error::fault("the viewer's row is missing"))?;
    let first = first_stamp(since.version, after).number();
    let mut kinds = ChangedKinds::default();
    for (is_changed, name) in kinds.iter_mut().zip(NEWEST) {
        let newest: Option<i32> = row.try_get("", name)?;
        *is_changed = newest.is_some_and(|newest| newest >= first);
    }
    Ok((user::Model::from_query_result(&row, "")?, kinds))
}

/// Returns the lowest stamp that the page after the cursor may have.
pub(super) fn first_stamp(since: Version, after: Option<DeltaCursor>) -> Version {
    // The rows of one stamp may be on two pages.
    after.map_or_else(
        || Version::new(since.number().saturating_add(1)),
        |cursor| cursor.stamp,
    )
}
