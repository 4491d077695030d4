//! Requirements on a PostgreSQL server, for any settings of its role, database or configuration file: it stores every
//! text, and a change is on disk before its commit is reported.
//!
//! In the flow: each writing connection begins with [`commit_durably`], and [`check`] verifies the first.
//!
//! **Invariant:** a serving node has `synchronous_commit` on for its changes, or refuses to start.

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbErr, Statement,
    sqlx::{self, Error as SqlxError, PgConnection},
};

use super::first_connection::OpenError;
use crate::address::DatabaseAddress;

/// Encodings that store every character. `SQL_ASCII` stores bytes unchanged.
const ENCODINGS: [&str; 2] = ["UTF8", "SQL_ASCII"];

/// Turns `synchronous_commit` on for a session that begins with it off. PostgreSQL would answer COMMIT before the change
/// is on disk, and a crash would lose acknowledged changes. Every other value waits for the local disk, so it stays.
pub(super) async fn commit_durably(link: &mut PgConnection) -> Result<(), SqlxError> {
    let turn_on = "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off'";
    sqlx::query(turn_on).execute(link).await.map(drop)
}

/// Rejects a database that cannot store every text, or that reports commits before they are on disk.
pub(super) async fn check(
    db: &DatabaseConnection,
    address: &DatabaseAddress,
) -> Result<(), OpenError> {
    let failed = |error: DbErr| OpenError::new(address, &error);
    let select = "SELECT current_setting('server_encoding'), current_setting('synchronous_commit'), \
                  current_setting('fsync')";
    let select = Statement::from_string(db.get_database_backend(), select);
    let row = db.query_one_raw(select).await.map_err(failed)?;
    let row = row.ok_or_else(|| failed(DbErr::RecordNotFound("settings".to_owned())))?;
    let setting = |at: usize| row.try_get_by_index::<String>(at).map_err(failed);
    let (encoding, commit, fsync) = (setting(0)?, setting(1)?, setting(2)?);
    if !ENCODINGS.contains(&encoding.as_str()) {
        return Err(OpenError(format!(
            "{address}: the database's encoding {encoding} cannot store every text: create it with ENCODING 'UTF8'"
        )));
    }
    if commit == "off" {
        return Err(OpenError(format!(
            "{address}: synchronous_commit is off, so a crash would lose acknowledged changes, and a connection pooler \
             prevents turning it on: run ALTER ROLE … SET synchronous_commit = on"
        )));
    }
    if fsync == "off" {
        tracing::warn!(
            server.address = %address,
            "fsync is off in PostgreSQL: a crash of its machine can lose acknowledged changes or corrupt the database"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates the session of a pooler, which drops our settings.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "tests read their own settings")]
    async fn a_session_that_commits_asynchronously_is_rejected_with_the_remedy() {
        let server = std::env::var("LIBRARY_SYNC_TEST_POSTGRES")
            .expect("LIBRARY_SYNC_TEST_POSTGRES: run the tests by scripts/test");
        let address = DatabaseAddress::parse(&server).unwrap();
        for (commit, is_refused) in [("off", true), ("on", false), ("remote_apply", false)] {
            let mut connect = sea_orm::ConnectOptions::new(&server);
            connect
                .max_connections(1)
                .map_sqlx_postgres_opts(move |it| it.options([("synchronous_commit", commit)]));
            let db = sea_orm::Database::connect(connect).await.unwrap();
            let refused = check(&db, &address).await.err();
            let says = refused.is_some_and(|error| error.0.contains("ALTER ROLE"));
            assert_eq!(says, is_refused, "{commit}");
        }
    }
}
