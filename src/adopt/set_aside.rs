//! Moves the tables of the older app into the schema `topaz_before`, and back.
//!
//! `SET SCHEMA` moves a table with its indexes, constraints and owned sequences, and rewrites nothing. Views and foreign
//! keys follow, because they refer to tables by identity.
#![expect(
    clippy::disallowed_methods,
    reason = "moves the tables of another program and writes no row of a library"
)]

use sea_orm::{ConnectionTrait, DbErr};

use super::{error::Error, older_tables::OlderTables, record::is_true};
use crate::library::SET_ASIDE;

/// How long a lock is waited for, in PostgreSQL's notation: less than `deadlock_timeout`, so that this side gives way.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '500ms'";

/// Locks the tables of the older app, users and `more` against reads and writes.
pub(super) async fn lock(
    db: &impl ConnectionTrait,
    older: &OlderTables,
    more: &[&str],
) -> Result<(), DbErr> {
    let mut tables = names(older);
    tables.extend(more.iter().map(|table| (*table).to_owned()));
    tables.push("topaz_user".to_owned());
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    db.execute_unprepared(LOCK_TIMEOUT).await?;
    db.execute_unprepared(&lock).await?;
    Ok(())
}

/// Locks the tables of the older app against changes.
pub(super) async fn lock_against_changes(
    db: &impl ConnectionTrait,
    older: &OlderTables,
) -> Result<(), DbErr> {
    let lock = format!("LOCK TABLE {} IN SHARE MODE", names(older).join(", "));
    db.execute_unprepared(LOCK_TIMEOUT).await?;
    db.execute_unprepared(&lock).await?;
    Ok(())
}

fn names(older: &OlderTables) -> Vec<String> {
    let tables = older.tables.iter();
    tables.map(|table| quoted(&older.schema, table)).collect()
}

/// Moves the tables and views into a new schema.
///
/// # Errors
/// When the schema exists.
pub(super) async fn set_aside(db: &impl ConnectionTrait, older: &OlderTables) -> Result<(), Error> {
    if is_true(
        db,
        &format!("SELECT to_regnamespace('{SET_ASIDE}') IS NOT NULL"),
    )
    .await?
    {
        return Err(Error::ForeignSchema);
    }
    // As in the schema `public`, anyone may name the tables; their own privileges decide who may use them.
    let create = format!("CREATE SCHEMA {SET_ASIDE}; GRANT USAGE ON SCHEMA {SET_ASIDE} TO PUBLIC");
    db.execute_unprepared(&create).await?;
    move_all(db, older, &older.schema, SET_ASIDE).await?;
    Ok(())
}

/// Moves the tables and views back into the schema `home`.
pub(super) async fn put_back(
    db: &impl ConnectionTrait,
    older: &OlderTables,
    home: &str,
) -> Result<(), DbErr> {
    move_all(db, older, SET_ASIDE, home).await
}

async fn move_all(
    db: &impl ConnectionTrait,
    older: &OlderTables,
    from: &str,
    to: &str,
) -> Result<(), DbErr> {
    let to = format!("\"{}\"", to.replace('"', "\"\""));
    let tables = older.tables.iter().map(|table| ("TABLE", table));
    let views = older.views.iter().map(|view| ("MATERIALIZED VIEW", view));
    for (kind, name) in views.chain(tables) {
        let sql = format!("ALTER {kind} {} SET SCHEMA {to}", quoted(from, name));
        db.execute_unprepared(&sql).await?;
    }
    Ok(())
}

fn quoted(schema: &str, name: &str) -> String {
    format!("\"{}\".\"{name}\"", schema.replace('"', "\"\""))
}
