//! `topaz_user`, with only the columns that library-sync uses: an older app may own the others.

use sea_orm::{QueryResult, entity::prelude::*};

use crate::{
    library::{error::Error, model::limits::Usage},
    version::{Epoch, Head, Version},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "topaz_user")]
pub(in crate::library) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    pub library_version: i32,
    pub library_epoch: i64,
    pub library_floor: i32,
    pub signed_out_at: i64,
    pub streams_ended_at: i64,
    pub library_erased: i64,
}

impl Model {
    pub(in crate::library) fn head(&self) -> Head {
        Head {
            epoch: Epoch::new(self.library_epoch),
            version: Version::new(self.library_version),
        }
    }

    /// Returns the epoch that the last erasure began, if any.
    pub(in crate::library) fn erased(&self) -> Option<Epoch> {
        (self.library_erased > 0).then(|| Epoch::new(self.library_erased))
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(in crate::library) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Returns the size of a library in a row with the columns `stories`, `tags`, `fandoms` and `bytes`.
pub(in crate::library) fn usage(row: &QueryResult) -> Result<Usage, Error> {
    Ok(Usage {
        stories: row.try_get("", "stories")?,
        tags: row.try_get("", "tags")?,
        fandoms: row.try_get("", "fandoms")?,
        bytes: row.try_get("", "bytes")?,
    })
}
