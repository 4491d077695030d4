//! `library-sync import`: adds the entries of a file to a user's library, or previews it with `--dry-run`.

use std::io::{BufRead, Write as _, stdout};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    app::open_database::open_library,
    config::{FileKind, Import},
    library::{ARCHIVE_MAGIC, CheckedLines, Imported, Intent, Library, Opening},
    transfer::{
        contents::{Choice, Contents, Row},
        file::{open, read_from},
        report::{Report, Tally},
    },
    version::UserId,
};

/// Number of entries per transaction, which increments the library version by one and advances the progress bar.
const BATCH: usize = 1_000;

/// Adds the entries of a file to a user's library in batches. Reports refused entries and invalid cells on standard error.
///
/// # Errors
/// When the file cannot be parsed, has no valid entry or exceeds the limits of the library, or the database fails. Batches
/// that were added before stay.
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
    let mut source = open(&import.file)?;
    if is_archive(import, source.as_mut())? {
        return archive(import, &user, source.as_mut()).await;
    }
    let contents = read_from(source.as_mut(), &import.file, &choice)?;
    let library = open_library(&import.database, opening).await?;
    let library = library.limited_to(import.limits);
    let tally = if import.dry_run {
        preview(&library, &user, contents).await?
    } else {
        add(&library, &user, contents).await?
    };
    library.finish_writes().await;
    writeln!(stdout(), "{}", tally.summary(&user))?;
    anyhow::ensure!(
        tally.refused == 0 || tally.added + tally.there > 0,
        "{} has no valid entry",
        import.file.display()
    );
    Ok(())
}

fn is_archive(import: &Import, source: &mut dyn BufRead) -> anyhow::Result<bool> {
    match import.from {
        FileKind::Archive => Ok(true),
        FileKind::Auto => {
            let start = source.fill_buf();
            let start = start.with_context(|| format!("cannot read {}", import.file.display()))?;
            // Other programs that write JSON add spaces.
            let written = start.iter().filter(|byte| !byte.is_ascii_whitespace());
            Ok(written.take(ARCHIVE_MAGIC.len()).eq(ARCHIVE_MAGIC))
        }
        _ => Ok(false),
    }
}

/// Imports a whole library with its history into an empty one.
async fn archive(
    import: &Import,
    user: &UserId,
    source: &mut (dyn BufRead + Send),
) -> anyhow::Result<()> {
    // A rehearsal writes too, before it rolls back.
    let library = open_library(&import.database, Opening::Create).await?;
    let imported = library.import_archive(user, source, import.dry_run).await;
    let Imported { head, rows } =
        imported.with_context(|| format!("cannot import {}", import.file.display()))?;
    library.finish_writes().await;
    let would = if import.dry_run { " would be" } else { "" };
    writeln!(
        stdout(),
        "{user}: {rows} rows{would} imported; the library is at version {} of epoch {}",
        head.version,
        head.epoch
    )?;
    Ok(())
}

/// Prints the outcome of each row without writing to the library.
async fn preview(library: &Library, user: &UserId, contents: Contents) -> anyhow::Result<Tally> {
    let mut report = Report::table(&contents)?;
    let entries = valid(&contents.rows);
    let outcomes = library.rehearse(user, |library| Box::pin(library.import(entries)));
    let outcomes = outcomes.await?.map_err(|refusal| {
        let (field, message) = (&refusal.field, &refusal.message);
        anyhow::anyhow!("{field}: {message}; nothing was written")
    })?;
    report.rows(contents.rows, outcomes)?;
    Ok(report.tally)
}

/// Returns the entries of the valid rows.
fn valid(rows: &[Row]) -> CheckedLines {
    let entries = rows.iter().filter_map(|row| row.entry.clone().ok());
    entries.collect::<Vec<_>>().into()
}

async fn add(library: &Library, user: &UserId, contents: Contents) -> anyhow::Result<Tally> {
    // Drawn on standard error if that is a terminal.
    let bar = ProgressBar::new(contents.rows.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} entries, {eta} left")?,
    );
    let mut report = Report::lines(&contents, bar.clone())?;
    let mut rows = contents.rows.into_iter().peekable();
    while rows.peek().is_some() {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect();
        let entries = valid(&batch);
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
        report.rows(batch, outcomes)?;
        bar.set_position(report.tally.all() as u64);
    }
    bar.finish_and_clear();
    Ok(report.tally)
}
