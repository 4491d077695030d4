//! `library-sync import` and `library-sync export`: a library from a file and to one, without a server.
//!
//! CSV and JSON hold the same fields, under the names that `importLibrary` gives them, and what is exported imports to
//! the same: exporting that gives the same bytes. Entries come in the order in which they were added. Ids, versions and
//! times are not in a file: the library that an entry is added to gives it its own. Nor are labels that are on no story;
//! it is told how many.

mod csv;
mod json;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _, Write, stderr, stdout},
    path::Path,
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

pub use self::csv::read as read_csv;
use crate::{
    config::{Export, FileFormat, Import},
    library::{EntryLine, Exported, ImportOutcome, Intent, Library, Opening},
    opened::open_library,
    output,
    version::{UserId, Version},
};

/// How many entries are added in one step of the version. The bar moves as often, since none of a step is there before
/// all of it is.
const ENTRIES_A_STEP: usize = 1_000;

/// The fields of an entry, as a file and `importLibrary` name them.
const FIELDS: [&str; 16] = [
    "title",
    "author",
    "url",
    "source",
    "status",
    "description",
    "summary",
    "chapterCount",
    "wordCount",
    "isNsfw",
    "tags",
    "fandoms",
    "progressStatus",
    "currentChapter",
    "rating",
    "notes",
];

/// What a file holds.
#[derive(Debug, Default, PartialEq)]
pub struct Contents {
    /// The entries, in their order.
    pub rows: Vec<Row>,
    /// Names of columns or fields that mean nothing here.
    pub ignored: BTreeSet<String>,
}

/// An entry of a file.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The entry, or why it is none.
    pub entry: Result<EntryLine, String>,
}

/// Adds the entries of a file to a user's library, a step of the version for each 1,000. What is bad is told on
/// standard error and passed over.
///
/// # Errors
/// When the file cannot be read as a whole, holds nothing but bad entries, the library has no room for more tags or
/// fandoms, or the database fails. The steps before that stay.
pub async fn import(import: &Import) -> anyhow::Result<()> {
    let user = UserId::new(&import.sub).context("--sub")?;
    let contents = read(&import.file, import.format)?;
    let library = open_library(&import.database, Opening::Create).await?;
    let library = library.limited_to(import.limits.into());
    let tally = add(&library, &user, contents).await?;
    library.finish_writes().await;
    writeln!(stdout(), "{}", tally.summary(&user))?;
    anyhow::ensure!(
        tally.bad == 0 || tally.added + tally.there > 0,
        "no entry of {} is sound",
        import.file.display()
    );
    Ok(())
}

/// Writes a user's library to a file, or to standard output.
///
/// # Errors
/// When there is no such user, the file cannot be written, or the database fails.
pub async fn export(export: &Export) -> anyhow::Result<()> {
    let user = UserId::new(&export.sub).context("--sub")?;
    let format = match (export.format, &export.file) {
        (Some(format), _) => format,
        (None, Some(file)) => format_of(file)?,
        (None, None) => FileFormat::Csv,
    };
    let library = open_library(&export.database, Opening::Read).await?;
    let exported = library.export(&user).await?;
    let Exported { entries, left_out } =
        exported.with_context(|| format!("--sub: there is no user {user}"))?;
    if left_out > 0 {
        writeln!(
            stderr(),
            "left out: {left_out} tags and fandoms on no story"
        )?;
    }
    let Some(path) = &export.file else {
        return write(&entries, format, stdout().lock());
    };
    output::write(path, |to| write(&entries, format, to))
}

fn read(path: &Path, format: Option<FileFormat>) -> anyhow::Result<Contents> {
    let is_stdin = path.as_os_str() == "-";
    let format = match format {
        Some(format) => format,
        None if is_stdin => anyhow::bail!("--format is needed to read standard input"),
        None => format_of(path)?,
    };
    let mut bytes = Vec::new();
    let unreadable = || format!("{} cannot be read", path.display());
    if is_stdin {
        io::stdin().read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    }
    .with_context(unreadable)?;
    match format {
        FileFormat::Csv => csv::read(&bytes),
        FileFormat::Json => json::read(&bytes),
    }
    .with_context(unreadable)
}

fn write(entries: &[EntryLine], format: FileFormat, mut to: impl Write) -> anyhow::Result<()> {
    match format {
        FileFormat::Csv => csv::write(entries, &mut to)?,
        FileFormat::Json => json::write(entries, &mut to)?,
    }
    Ok(to.flush()?)
}

fn format_of(path: &Path) -> anyhow::Result<FileFormat> {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("csv") => Ok(FileFormat::Csv),
        Some("json") => Ok(FileFormat::Json),
        _ => anyhow::bail!(
            "{} ends in neither .csv nor .json: give --format",
            path.display()
        ),
    }
}

/// What became of the entries of a file.
#[derive(Default)]
struct Tally {
    added: usize,
    there: usize,
    bad: usize,
    version: Option<Version>,
}

async fn add(library: &Library, user: &UserId, contents: Contents) -> anyhow::Result<Tally> {
    for name in &contents.ignored {
        writeln!(stderr(), "ignored: `{name}` is no field of an entry")?;
    }
    // Drawn on standard error, and only if that is a terminal.
    let bar = ProgressBar::new(contents.rows.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} entries, {eta} left")?,
    );
    let mut tally = Tally::default();
    let mut rows = contents.rows.into_iter().peekable();
    while rows.peek().is_some() {
        let (mut numbers, mut entries) = (Vec::new(), Vec::new());
        for row in rows.by_ref().take(ENTRIES_A_STEP) {
            match row.entry {
                Ok(entry) => {
                    numbers.push(row.line);
                    entries.push(entry);
                }
                Err(why) => tally.bad(&bar, row.line, &why)?,
            }
        }
        let added = library.write(user, Intent::default(), |library| {
            Box::pin(library.import(entries))
        });
        let added = added.await?;
        tally.version = Some(added.head.version);
        let outcomes = added.outcome.map_err(|refusal| {
            let done = tally.summary(user);
            anyhow::anyhow!(
                "{}: {}; before that, {done}",
                refusal.field,
                refusal.message
            )
        })?;
        for (line, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                ImportOutcome::Imported(..) => tally.added += 1,
                ImportOutcome::Duplicate(..) => tally.there += 1,
                ImportOutcome::Invalid { field, message } => {
                    tally.bad(&bar, line, &format!("{field}: {message}"))?;
                }
            }
        }
        bar.set_position((tally.added + tally.there + tally.bad) as u64);
    }
    bar.finish_and_clear();
    Ok(tally)
}

impl Tally {
    fn bad(&mut self, bar: &ProgressBar, line: u64, why: &str) -> io::Result<()> {
        self.bad += 1;
        bar.suspend(|| writeln!(stderr(), "line {line}: {why}"))
    }

    fn summary(&self, user: &UserId) -> String {
        let Self {
            added,
            there,
            bad,
            version,
        } = self;
        let all = added + there + bad;
        let at = version.map_or(String::new(), |version| {
            format!("; the library of {user} is at version {version}")
        });
        format!("{added} of {all} entries added, {there} there already, {bad} bad{at}")
    }
}
