//! `library-sync epoch`.

use std::{
    io::{Write as _, stdout},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    app::open_database::{database_options, open_database},
    broker::Memory,
    config::EpochAction,
    library::{DatabaseOptions, Library, Opening},
    version::UserId,
};

/// Begins a new epoch for one user or all users.
///
/// # Errors
/// When the database cannot be opened or written, or the user does not exist.
pub async fn epoch(EpochAction::New { user, database }: EpochAction) -> anyhow::Result<()> {
    let user = user
        .map(|user| UserId::new(&user))
        .transpose()
        .context("--user")?;
    let options = DatabaseOptions {
        // A command runs to its end; the operator waits.
        statement_timeout: Duration::ZERO,
        ..database_options(&database, Opening::Change)?
    };
    let db = open_database(&database, &options).await?;
    let library = Library::new(db, Arc::new(Memory::default()));
    let users = match &user {
        Some(user) => library.begin_epoch(Some(user)).await?,
        None => begin_epochs(&library).await?,
    };
    anyhow::ensure!(
        users > 0 || user.is_none(),
        "--user: the user does not exist"
    );
    writeln!(stdout(), "{users} users begin a new epoch")?;
    Ok(())
}

/// Begins a new epoch for all users. Draws the progress on standard error if that is a terminal.
async fn begin_epochs(library: &Library) -> anyhow::Result<u64> {
    let style = ProgressStyle::with_template("{human_pos} users, {per_sec}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let users = library.begin_epochs(|users| bar.set_position(users)).await;
    bar.finish_and_clear();
    Ok(users?)
}
