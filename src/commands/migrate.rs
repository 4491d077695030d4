//! `library-sync migrate`.

use std::io::{Write as _, stdout};

use crate::{
    app::open_database::{database_options, open_database},
    config::Direction,
    library::Opening,
    schema_migration,
};

/// Applies or reverts migrations, then lists them.
///
/// # Errors
/// When the database cannot be opened or migrated.
pub async fn migrate(direction: Direction) -> anyhow::Result<()> {
    let (Direction::Up(database) | Direction::Down { database, .. } | Direction::Status(database)) =
        &direction;
    let options = database_options(
        database,
        match direction {
            Direction::Up(_) => Opening::Create,
            Direction::Down { .. } => Opening::Change,
            Direction::Status(_) => Opening::Read,
        },
    )?;
    let db = open_database(database, &options).await?;
    match direction {
        Direction::Up(_) => schema_migration::up(&db, &options).await?,
        Direction::Down { steps, .. } => schema_migration::down(&db, &options, steps).await?,
        Direction::Status(_) => {}
    }
    for (change, applied) in schema_migration::status(&db, &options).await? {
        writeln!(
            stdout(),
            "{:8} {change}",
            if applied { "applied" } else { "pending" }
        )?;
    }
    Ok(())
}
