//! `topaz_undone_removal`: tombstones of rows that were created again under the same id.

use sea_orm::{ActiveValue::Set, entity::prelude::*};

use super::tombstone;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_undone_removal")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stamp: i32,
    pub removed_at: TimeUnixTimestampMillis,
    pub held: Option<String>,
    pub created_stamp: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<tombstone::Model> for ActiveModel {
    fn from(row: tombstone::Model) -> Self {
        Self {
            user_id: Set(row.user_id),
            kind: Set(row.kind),
            id: Set(row.id),
            stamp: Set(row.stamp),
            removed_at: Set(row.removed_at),
            held: Set(row.held),
            created_stamp: Set(row.created_stamp),
        }
    }
}

impl From<Model> for tombstone::Model {
    fn from(row: Model) -> Self {
        Self {
            user_id: row.user_id,
            kind: row.kind,
            id: row.id,
            stamp: row.stamp,
            removed_at: row.removed_at,
            held: row.held,
            created_stamp: row.created_stamp,
        }
    }
}
