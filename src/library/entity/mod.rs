//! The tables as sea-orm sees them. Private: outside `library`, nobody can name a row's columns, let alone write them.
//!
//! Names of statuses and sources are stored as the older app spells them. A stored name that no longer parses is
//! a fault, not a default: silence would lose it at the next write.

pub(super) mod label;
pub(super) mod progress;
pub(super) mod receipt;
pub(super) mod story;
pub(super) mod ticket;
pub(super) mod tombstone;
pub(super) mod user;
pub(super) mod write;

use std::str::FromStr;

use sea_orm::{
    DbErr, EntityTrait, IdenStatic as _, Iterable as _, QuerySelect as _, Select,
    entity::prelude::TimeUnixTimestampMillis, sea_query::Expr,
};
use time::OffsetDateTime;

/// Selects rows to read them. The columns of `keys` come empty.
fn find_without<E: EntityTrait>(keys: &[E::Column]) -> Select<E> {
    let is_shown = |column: &E::Column| keys.iter().all(|key| key.as_str() != column.as_str());
    let shown = E::Column::iter().filter(is_shown);
    let empty = |select: Select<E>, key: &E::Column| select.expr_as(Expr::cust("''"), key.as_str());
    keys.iter()
        .fold(E::find().select_only().columns(shown), empty)
}

fn parse_name<T: FromStr>(column: &str, name: &str) -> Result<T, DbErr> {
    name.parse()
        .map_err(|_| DbErr::Type(format!("{column} holds the unknown name {name:?}")))
}

pub(in crate::library) fn millis(at: OffsetDateTime) -> TimeUnixTimestampMillis {
    TimeUnixTimestampMillis(at)
}
