//! `topaz_tombstone`.

use sea_orm::entity::prelude::*;

use super::columns::parse_name;
use crate::library::model::kind::Kind;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_tombstone")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub stamp: i32,
    pub removed_at: TimeUnixTimestampMillis,
    /// The removed row as JSON, if it was kept.
    pub held: Option<String>,
    /// The version that created the row; 0 when unknown.
    pub created_stamp: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Parses the name of a kind.
pub(in crate::library) fn kind(name: &str) -> Result<Kind, DbErr> {
    parse_name("topaz_tombstone.kind", name)
}
