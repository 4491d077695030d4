//! `topaz_tombstone`.

use sea_orm::entity::prelude::*;

use super::columns::{find_without, parse_name};
use crate::{library::read::delta::change::Tombstone, version::Version};

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

/// Selects tombstones without the removed rows, which a delta does not contain.
pub(in crate::library) fn find() -> Select<Entity> {
    find_without::<Entity>(&[Column::Held])
}

impl TryFrom<Model> for Tombstone {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        Ok(Self {
            kind: parse_name("topaz_tombstone.kind", &row.kind)?,
            id: row.id,
            stamp: Version::new(row.stamp),
        })
    }
}
