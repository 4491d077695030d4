//! `topaz_receipt`.

use sea_orm::entity::prelude::*;

use crate::version::{Epoch, Head, Version};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_receipt")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    pub fingerprint: String,
    /// JSON.
    pub answer: String,
    pub version: i32,
    pub epoch: i64,
    pub created_at: TimeUnixTimestampMillis,
}

impl Model {
    pub(in crate::library) fn head(&self) -> Head {
        Head {
            epoch: Epoch::new(self.epoch),
            version: Version::new(self.version),
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
