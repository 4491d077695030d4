//! `library-sync adopt`: takes over a database of the older app, or gives it back.

use std::{
    io::{Write as _, stdout},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    adopt::{self, Adopted, Adoption, Undone},
    app::open_database::{database_options, open_any_database},
    config::Adopt,
    library::{Database, DatabaseOptions, Opening},
};

/// Adopts a database of the older app, or reverts that. Prints the report on standard output.
///
/// # Errors
/// When the database cannot be opened, is not the older app's, or a step fails. The database is unchanged then.
pub async fn adopt(command: &Adopt) -> anyhow::Result<()> {
    let options = DatabaseOptions {
        // A command runs to its end; the operator waits.
        statement_timeout: Duration::ZERO,
        ..database_options(&command.database, Opening::Change)?
    };
    let db = open_any_database(&command.database, &options).await?;
    if command.undo {
        let undone = adopt::undo(&db, &options, command.discard_changes).await?;
        let said = match undone {
            Undone::Adoption => "the older app's tables are back as they were before the adoption",
            Undone::HalfMigration => "the migrations of an earlier version are reverted",
        };
        writeln!(stdout(), "{said}")?;
    } else {
        let adopted = copy(&db, &options, command.dry_run).await?;
        writeln!(stdout(), "{}", summary(&adopted, command.dry_run))?;
    }
    db.close().await?;
    Ok(())
}

/// Runs the adoption. Draws the progress on standard error if that is a terminal.
async fn copy(db: &Database, options: &DatabaseOptions, dry_run: bool) -> anyhow::Result<Adopted> {
    let style = "{wide_bar} {human_pos} of {human_len} progresses, {eta} left";
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(style)?);
    let adoption = Adoption {
        dry_run,
        report: &mut stdout(),
        progress: &|copied, all| {
            bar.set_length(all);
            bar.set_position(copied);
        },
    };
    let adopted = adopt::adopt(db, options, adoption).await;
    bar.finish_and_clear();
    Ok(adopted?)
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
