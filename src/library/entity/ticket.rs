//! `topaz_ticket`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_ticket")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    pub user_id: String,
    pub expires_at: TimeUnixTimestampMillis,
    pub lapses_at: TimeUnixTimestampMillis,
    pub issued_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
