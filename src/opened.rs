//! The database that a command names, opened.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;

use crate::{
    broker::Memory,
    config,
    library::{Database, DatabaseOptions, Library, Opening},
    migrate,
};

/// Opens the libraries of a database without serving them. Before they are changed, its tables are brought up to date;
/// before they are read, they must be.
///
/// # Errors
/// When no database is named, or it cannot be opened or migrated.
pub async fn open_library(config: &config::Database, opening: Opening) -> anyhow::Result<Library> {
    let options = DatabaseOptions {
        // Whoever runs a command waits for it.
        statement_timeout: Duration::ZERO,
        ..config.options(opening)?
    };
    let db = open_database(config, &options).await?;
    if opening == Opening::Read {
        anyhow::ensure!(
            migrate::is_up_to_date(&db, &options).await?,
            "{}: the database lacks changes that this version needs: run `library-sync migrate up`",
            config.setting()
        );
    } else {
        migrate::up(&db, &options)
            .await
            .context("the database cannot be migrated")?;
    }
    Ok(Library::new(db, Arc::new(Memory::default())))
}

/// Opens the database that a setting names.
///
/// # Errors
/// Names the setting, the place and the cause.
pub async fn open_database(
    config: &config::Database,
    options: &DatabaseOptions,
) -> anyhow::Result<Database> {
    let opened = Database::connect(options).await;
    opened.context(config.setting())
}
