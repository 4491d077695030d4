//! Shared column conversions: times in milliseconds, and names of statuses and sources.

use std::str::FromStr;

use sea_orm::{
    DbErr, EntityTrait, IdenStatic as _, Iterable as _, QuerySelect as _, Select,
    entity::prelude::TimeUnixTimestampMillis, sea_query::Expr,
};
use time::OffsetDateTime;

/// Selects rows without the columns of `keys`, which are empty strings.
pub(super) fn find_without<E: EntityTrait>(keys: &[E::Column]) -> Select<E> {
    let is_shown = |column: &E::Column| keys.iter().all(|key| key.as_str() != column.as_str());
    let shown = E::Column::iter().filter(is_shown);
    let empty = |select: Select<E>, key: &E::Column| select.expr_as(Expr::cust("''"), key.as_str());
    keys.iter()
        .fold(E::find().select_only().columns(shown), empty)
}

/// Reads a status or a source. A name that this version does not know is read as `unknown`.
pub(super) fn known_name<T: FromStr>(name: &str, unknown: T) -> T {
    name.parse().unwrap_or(unknown)
}

pub(super) fn parse_name<T: FromStr>(column: &str, name: &str) -> Result<T, DbErr> {
    name.parse()
        .map_err(|_| DbErr::Type(format!("{column} holds the unknown name {name:?}")))
}

pub(in crate::library) fn millis(at: OffsetDateTime) -> TimeUnixTimestampMillis {
    TimeUnixTimestampMillis(at)
}
