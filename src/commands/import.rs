//! `library-sync import`: the entries of a file into a user's library, or with `--dry-run` what would become of them.

use std::io::{Write as _, stdout};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    app::{open_database::open_library, settings::library_limits},
    config::Import,
    library::{CheckedLines, Intent, Library, Opening},
    transfer::{
        contents::{Choice, Contents, Row},
        file::read_path,
        report::{Report, Tally},
    },
    version::UserId,
};

/// How many entries are added in one step of the version. The bar moves as often, since none of a step is there before
/// all of it is.
const ENTRIES_A_STEP: usize = 1_000;

/// Adds the entries of a file to a user's library, a step of the version for each 1,000. What is refused or left empty
/// is reported on standard error.
///
/// # Errors
/// When the file cannot be read as a whole, holds no sound entry, the library has no room, or the database fails. The
/// steps before that stay.
pub async fn import(import: &Import) -> anyhow::Result<()> {
    let user = UserId::new(&import.sub).context("--sub")?;
    let choice = Choice {
        kind: import.from.kind(),
        mapped: &import.map,
    };
    let opening = if import.dry_run {
        Opening::Change
    } else {
        Opening::Create
    };
    let contents = read_path(&import.file, &choice)?;
    let library = open_library(&import.database, opening).await?;
    let library = library.limited_to(library_limits(import.limits));
    let tally = if import.dry_run {
        preview(&library, &user, contents).await?
    } else {
        add(&library, &user, contents).await?
    };
    library.finish_writes().await;
    writeln!(stdout(), "{}", tally.summary(&user))?;
    anyhow::ensure!(
        tally.refused == 0 || tally.added + tally.there > 0,
        "no entry of {} is sound",
        import.file.display()
    );
    Ok(())
}

/// Prints what would become of each row, and writes nothing to the library.
async fn preview(library: &Library, user: &UserId, contents: Contents) -> anyhow::Result<Tally> {
    let mut report = Report::table(&contents)?;
    let entries = sound(&contents.rows);
    let outcomes = library.rehearse(user, |library| Box::pin(library.import(entries)));
    let outcomes = outcomes.await?.map_err(|refusal| {
        let (field, message) = (&refusal.field, &refusal.message);
        anyhow::anyhow!("{field}: {message}; nothing was written")
    })?;
    report.rows(contents.rows, outcomes)?;
    Ok(report.tally)
}

/// The entries of the rows that have one.
fn sound(rows: &[Row]) -> CheckedLines {
    let entries = rows.iter().filter_map(|row| row.entry.clone().ok());
    entries.collect::<Vec<_>>().into()
}

async fn add(library: &Library, user: &UserId, contents: Contents) -> anyhow::Result<Tally> {
    // Drawn on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(contents.rows.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} entries, {eta} left")?,
    );
    let mut report = Report::lines(&contents, bar.clone())?;
    let mut rows = contents.rows.into_iter().peekable();
    while rows.peek().is_some() {
        let step: Vec<Row> = rows.by_ref().take(ENTRIES_A_STEP).collect();
        let entries = sound(&step);
        let added = library.write(user, Intent::default(), |library| {
            Box::pin(library.import(entries))
        });
        let added = added.await?;
        report.tally.version = Some(added.head.version);
        let outcomes = added.outcome.map_err(|refusal| {
            let done = report.tally.summary(user);
            let (field, message) = (&refusal.field, &refusal.message);
            anyhow::anyhow!("{field}: {message}; before that, {done}")
        })?;
        report.rows(step, outcomes)?;
        bar.set_position(report.tally.all() as u64);
    }
    bar.finish_and_clear();
    Ok(report.tally)
}
