//! `library-sync adopt`: takes over a database of the older app, at once or while it runs, or gives it back.

use std::{
    io::{Write as _, stdout},
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::stop_signal::stop_on_signal;
use crate::{
    adopt::{self, Adopted, Adoption, Undone},
    app::{
        self,
        open_database::{database_options, open_any_database},
    },
    config::Adopt,
    library::{Database, DatabaseOptions, Library, Opening},
};

/// Adopts a database of the older app, or reverts that. Prints the report on standard output.
///
/// # Errors
/// When the database cannot be opened, is not the older app's, or a step fails. The database is unchanged then.
pub async fn adopt(command: &Adopt) -> anyhow::Result<()> {
    let options = database_options(&command.database, Opening::Change)?;
    let db = open_any_database(&command.database, &options).await?;
    if command.undo {
        let undone = adopt::undo(&db, &options, command.discard_changes).await?;
        let said = match undone {
            Undone::Adoption => "the older app's tables are back as they were before the adoption",
            Undone::HalfMigration => "the migrations of an earlier version are reverted",
        };
        writeln!(stdout(), "{said}")?;
    } else if command.cut_over {
        cut_over(&db, &options, command).await?;
    } else if command.live {
        live(&db, &options, command).await?;
    } else {
        let adopted = copy(&db, &options, command).await?;
        writeln!(stdout(), "{}", summary(&adopted, command.dry_run))?;
    }
    db.close().await?;
    Ok(())
}

/// Adopts the database unless it is adopted already, and follows the older app until the cut-over or a signal.
async fn live(db: &Database, options: &DatabaseOptions, command: &Adopt) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    match copy(db, options, command).await {
        Ok(adopted) => writeln!(stdout(), "{}", summary(&adopted, false))?,
        // Follows where an earlier run has stopped.
        Err(adopt::Error::AlreadyAdopted) => {}
        Err(error) => return Err(error.into()),
    }
    let broker = app::broker(&command.broker_url.0, &options.address)?;
    let library = Library::new(db.clone(), Arc::clone(&broker));
    let followed = adopt::follow(db, options, library, stop).await;
    broker.close().await;
    Ok(followed?)
}

async fn cut_over(db: &Database, options: &DatabaseOptions, command: &Adopt) -> anyhow::Result<()> {
    let broker = app::broker(&command.broker_url.0, &options.address)?;
    let library = Library::new(db.clone(), Arc::clone(&broker));
    let done = adopt::cut_over(db, options, library).await;
    broker.close().await;
    writeln!(
        stdout(),
        "cut over: {} entries are equal on both sides; the older app's tables refuse changes",
        done?.entries
    )?;
    Ok(())
}

/// Runs the adoption. Draws the progress on standard error if that is a terminal.
async fn copy(
    db: &Database,
    options: &DatabaseOptions,
    command: &Adopt,
) -> Result<Adopted, adopt::Error> {
    let style = "{wide_bar} {human_pos} of {human_len} progresses, {eta} left";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let adoption = Adoption {
        dry_run: command.dry_run,
        live: command.live,
        report: &mut stdout(),
        progress: &|copied, all| {
            bar.set_length(all);
            bar.set_position(copied);
        },
    };
    let adopted = adopt::adopt(db, options, adoption).await;
    bar.finish_and_clear();
    adopted
}

fn summary(adopted: &Adopted, dry_run: bool) -> String {
    let Adopted {
        users,
        progresses,
        tags,
        fandoms,
        links,
    } = adopted;
    let copied = format!(
        "{progresses} progresses with their stories, {tags} tags, {fandoms} fandoms and {links} labels on stories of \
         {users} users"
    );
    if dry_run {
        format!("dry run, nothing is changed: would copy {copied}")
    } else {
        format!(
            "copied    {copied}\nthe older app's tables are in the schema topaz_before; `library-sync adopt --undo` moves \
             them back"
        )
    }
}
