//! `topaz_tag` and `topaz_fandom`, two tables with the same columns, and the links from stories to them.
//!
//! sea-orm binds an entity to one table, so statements on labels are built from these names.

use std::collections::HashMap;

use sea_orm::{
    FromQueryResult, Order, QueryResult,
    entity::prelude::*,
    sea_query::{self, Alias, Expr, ExprTrait as _, Query, SelectStatement},
};

use crate::{
    library::model::{
        id::LabelId,
        label::{Label, LabelKind, LabelName},
    },
    version::{UserId, Version},
};

/// The names of the tables and columns of one kind.
pub(in crate::library) struct Names {
    pub table: Alias,
    pub link_table: Alias,
    /// The link table's foreign key to the label.
    pub link_column: Alias,
}

pub(in crate::library) fn names(kind: LabelKind) -> Names {
    let (table, link_table, link_column) = match kind {
        LabelKind::Tag => ("topaz_tag", "topaz_story_tag", "tag_id"),
        LabelKind::Fandom => ("topaz_fandom", "topaz_story_fandom", "fandom_id"),
    };
    Names {
        table: Alias::new(table),
        link_table: Alias::new(link_table),
        link_column: Alias::new(link_column),
    }
}

/// The columns that both tables have.
#[derive(Iden, Clone, Copy)]
pub(in crate::library) enum Column {
    UserId,
    Id,
    StoryId,
    Stamp,
    CreatedStamp,
    Name,
    NameKey,
    CreatedAt,
    UpdatedAt,
}

impl Column {
    /// The columns of a [`Row`].
    pub(in crate::library) const ROW: [Self; 6] = [
        Self::Id,
        Self::Stamp,
        Self::CreatedStamp,
        Self::Name,
        Self::CreatedAt,
        Self::UpdatedAt,
    ];
}

/// A row of either table.
#[derive(Debug, FromQueryResult)]
pub(in crate::library) struct Row {
    pub id: Uuid,
    pub stamp: i32,
    pub created_stamp: i32,
    pub name: String,
    pub created_at: TimeUnixTimestampMillis,
    pub updated_at: TimeUnixTimestampMillis,
}

impl From<Row> for Label {
    fn from(row: Row) -> Self {
        Self {
            id: LabelId(row.id),
            stamp: Version::new(row.stamp),
            created_stamp: Version::new(row.created_stamp),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            name: LabelName::stored(row.name),
        }
    }
}

/// Selects the rows of a user's labels of one kind, by name.
pub(in crate::library) fn select_by_name(user: &UserId, kind: LabelKind) -> SelectStatement {
    Query::select()
        .columns(Column::ROW)
        .from(names(kind).table)
        .and_where(Expr::col(Column::UserId).eq(user.as_str()))
        .order_by(Column::NameKey, Order::Asc)
        .to_owned()
}

/// Returns the labels in rows that hold the columns of a [`Row`].
pub(in crate::library) fn labels_in(rows: &[QueryResult]) -> Result<Vec<Label>, DbErr> {
    rows.iter()
        .map(|row| Ok(Row::from_query_result(row, "")?.into()))
        .collect()
}

/// Selects the number of stories of each of a user's labels of one kind. It counts at most `most`, if that is given.
///
/// Each count reads one range of an index. A GROUP BY might sort the links of all stories.
pub(in crate::library) fn select_story_counts(
    user: &UserId,
    kind: LabelKind,
    most: Option<i64>,
) -> SelectStatement {
    let names = names(kind);
    let stories = format!(
        "FROM {} AS link WHERE link.user_id = label.user_id AND link.{} = label.id",
        names.link_table.0, names.link_column.0
    );
    let count = most.map_or_else(
        || format!("(SELECT count(*) {stories})"),
        |most| format!("(SELECT count(*) FROM (SELECT 1 {stories} LIMIT {most}) AS first)"),
    );
    Query::select()
        .column(Column::Id)
        .expr_as(Expr::cust(count), "stories")
        .from_as(names.table, "label")
        .and_where(Expr::col(Column::UserId).eq(user.as_str()))
        .to_owned()
}

/// Returns the counts in rows of [`select_story_counts`].
pub(in crate::library) fn story_counts_in(
    rows: &[QueryResult],
) -> Result<HashMap<LabelId, i64>, DbErr> {
    rows.iter()
        .map(|row| Ok((LabelId(row.try_get("", "id")?), row.try_get("", "stories")?)))
        .collect()
}
