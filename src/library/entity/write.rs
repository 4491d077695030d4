//! `topaz_write`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_write")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub epoch: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// Names of [`Kind`](crate::library::model::kind::Kind), separated by spaces.
    pub kinds: String,
    pub device_id: Option<String>,
    pub device_name: Option<String>,
    pub written_at: TimeUnixTimestampMillis,
    /// The position of the commit in the trace of its request.
    pub traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
