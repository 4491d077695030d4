//! Opens the database of a command.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;

use crate::{
    address::DatabaseAddress,
    broker::Memory,
    config,
    library::{Database, DatabaseOptions, Library, OlderApp, Opening},
    schema_migration,
};

/// Opens the libraries of a database for a command. Migrates the database first, unless it is opened for reading.
///
/// # Errors
/// When no database is configured, or it cannot be opened or migrated, or pending migrations forbid reading it.
pub async fn open_library(config: &config::Database, opening: Opening) -> anyhow::Result<Library> {
    let options = DatabaseOptions {
        // A command runs to its end; the operator waits.
        statement_timeout: Duration::ZERO,
        ..database_options(config, opening)?
    };
    let db = open_database(config, &options).await?;
    if opening == Opening::Read {
        anyhow::ensure!(
            schema_migration::is_up_to_date(&db, &options).await?,
            "{}: the database has pending migrations: run `library-sync migrate up`",
            config.setting()
        );
    } else {
        schema_migration::up(&db, &options)
            .await
            .context("the database cannot be migrated")?;
    }
    Ok(Library::new(db, Arc::new(Memory::default())))
}

/// Opens the configured database.
///
/// # Errors
/// When it cannot be opened, with the setting, the address without its secrets, and the cause; or when it holds tables of
/// the older app under names that library-sync needs.
pub async fn open_database(
    config: &config::Database,
    options: &DatabaseOptions,
) -> anyhow::Result<Database> {
    let db = open_any_database(config, options).await?;
    let older = db.find_older_app().await.context(config.setting())?;
    if let Some(older) = older {
        let refused = refusal(older);
        db.close().await?;
        anyhow::bail!("{}: {refused}", config.setting());
    }
    Ok(db)
}

/// Opens the configured database, even if it holds tables of the older app.
///
/// # Errors
/// When it cannot be opened, with the setting, the address without its secrets, and the cause.
pub async fn open_any_database(
    config: &config::Database,
    options: &DatabaseOptions,
) -> anyhow::Result<Database> {
    let opened = Database::connect(options).await;
    opened.context(config.setting())
}

/// Returns why library-sync does not use a database with these tables, and what to do.
pub fn refusal(older: OlderApp) -> &'static str {
    match older {
        OlderApp::Stories => {
            "the database is the older app's: its topaz_story has no column user_id: stop the older app, make a backup \
             and run `library-sync adopt`"
        }
        OlderApp::SetAside => {
            "the search path leads to topaz_before, where `library-sync adopt` keeps the older app's tables: connect \
             with another role, or with ?options=-csearch_path%3Dpublic"
        }
        OlderApp::Works => {
            "the database is a later version of the older app's, with topaz_work instead of topaz_story, which \
             library-sync cannot adopt: give an empty database"
        }
    }
}

/// Returns the options of the configured database.
///
/// # Errors
/// When no URL is configured, or one is invalid.
pub fn database_options(
    config: &config::Database,
    opening: Opening,
) -> anyhow::Result<DatabaseOptions> {
    let url = config.url().context(
        "no database is configured: give --database-url, or set LIBRARY_SYNC_DATABASE_URL or DATABASE_URL",
    )?;
    let replica = config.read_database_url.as_ref();
    let replica = replica
        .map(|url| DatabaseAddress::parse(&url.0))
        .transpose();
    Ok(DatabaseOptions {
        address: DatabaseAddress::parse(&url.0).context(config.setting())?,
        replica: replica.context("--read-database-url (LIBRARY_SYNC_READ_DATABASE_URL)")?,
        opening,
        max_replica_lag: config.max_replica_lag,
        max_connections: config.database_connections,
        acquire_timeout: config.database_wait,
        statement_timeout: config.statement_timeout,
        max_user_reads: config.max_user_reads,
    })
}
