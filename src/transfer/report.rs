//! The report of an import. Writes refusals and warnings with their line numbers to standard error. With `--dry-run`,
//! writes a table of all rows to standard output.

use std::io::{self, Write, stderr, stdout};

use indicatif::ProgressBar;

use super::{
    cell_value::name,
    contents::{Contents, Row},
};
use crate::{
    library::ImportOutcome,
    version::{UserId, Version},
};

/// Widths of the table's columns in characters. The last column has no width.
const WIDTHS: [usize; 6] = [6, 8, 32, 20, 36, 11];

/// Numbers of entries by outcome.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub added: usize,
    pub there: usize,
    pub refused: usize,
    pub version: Option<Version>,
    is_preview: bool,
}

impl Tally {
    /// Returns the number of all entries.
    pub fn all(&self) -> usize {
        self.added + self.there + self.refused
    }

    /// Returns the summary, one line for people and scripts.
    pub fn summary(&self, user: &UserId) -> String {
        let (all, there, refused) = (self.all(), self.there, self.refused);
        let added = self.added;
        if self.is_preview {
            return format!(
                "dry run: {added} of {all} entries would be added, {there} there already, {refused} refused; nothing \
                 was written"
            );
        }
        let at = self.version.map_or(String::new(), |version| {
            format!("; the library of {user} is at version {version}")
        });
        format!("{added} of {all} entries added, {there} there already, {refused} refused{at}")
    }
}

/// Reports rows while they are imported.
pub(crate) struct Report {
    pub tally: Tally,
    /// The progress bar, which is suspended while a line is written. `None` for a table.
    bar: Option<ProgressBar>,
}

impl Report {
    /// Starts a report of refusals and warnings on standard error.
    pub fn lines(contents: &Contents, bar: ProgressBar) -> io::Result<Self> {
        begin(contents)?;
        Ok(Self {
            tally: Tally::default(),
            bar: Some(bar),
        })
    }

    /// Starts a report of every row in a table.
    pub fn table(contents: &Contents) -> io::Result<Self> {
        begin(contents)?;
        let titles = ["LINE", "OUTCOME", "TITLE", "AUTHOR", "ADDRESS", "READING"];
        write_line(&titles.map(str::to_owned), "REMARKS")?;
        let tally = Tally {
            is_preview: true,
            ..Tally::default()
        };
        Ok(Self { tally, bar: None })
    }

    /// Reports rows. `outcomes` has one outcome per valid row, in order.
    pub fn rows(
        &mut self,
        rows: Vec<Row>,
        outcomes: impl IntoIterator<Item = ImportOutcome>,
    ) -> io::Result<()> {
        let mut outcomes = outcomes.into_iter();
        for row in rows {
            let outcome = match row.entry {
                Ok(_) => outcomes.next(),
                Err(_) => None,
            };
            self.row(&row, outcome.as_ref())?;
        }
        Ok(())
    }

    fn row(&mut self, row: &Row, outcome: Option<&ImportOutcome>) -> io::Result<()> {
        let refusal = match (&row.entry, outcome) {
            (Err(why), _) => Some(why.clone()),
            (Ok(_), Some(ImportOutcome::Invalid { field, message })) => {
                Some(format!("{field}: {message}"))
            }
            (Ok(_), _) => None,
        };
        let word = match (&refusal, outcome) {
            (Some(_), _) => {
                self.tally.refused += 1;
                "refused"
            }
            (None, Some(ImportOutcome::Duplicate(..))) => {
                self.tally.there += 1;
                "there"
            }
            (None, _) => {
                self.tally.added += 1;
                "new"
            }
        };
        let Some(bar) = &self.bar else {
            return table_row(row, word, refusal);
        };
        bar.suspend(|| {
            if let Some(why) = refusal {
                writeln!(stderr(), "line {}: refused: {why}", row.line)?;
            }
            for warning in &row.warnings {
                writeln!(stderr(), "line {}: warning: {warning}", row.line)?;
            }
            Ok(())
        })
    }
}

fn begin(contents: &Contents) -> io::Result<()> {
    writeln!(stderr(), "form: {}", name(&contents.kind))?;
    if let Some(remark) = &contents.remark {
        writeln!(stderr(), "{remark}")?;
    }
    if !contents.ignored.is_empty() {
        let names: Vec<_> = contents.ignored.iter().map(String::as_str).collect();
        writeln!(stderr(), "ignored columns: {}", names.join(", "))?;
    }
    Ok(())
}

fn table_row(row: &Row, word: &str, refusal: Option<String>) -> io::Result<()> {
    let [mut title, mut author, mut url, mut reading] = <[String; 4]>::default();
    if let Ok(entry) = &row.entry {
        title.clone_from(&entry.title);
        author = entry.author.clone().unwrap_or_default();
        url.clone_from(&entry.url);
        let status = entry.reading_status.unwrap_or_default();
        reading = name(&status).to_lowercase().replace('_', " ");
    }
    let remarks: Vec<_> = refusal
        .into_iter()
        .chain(row.warnings.iter().cloned())
        .collect();
    let cells = [
        row.line.to_string(),
        word.to_owned(),
        title,
        author,
        url,
        reading,
    ];
    write_line(&cells, &remarks.join("; "))
}

fn write_line(cells: &[String; 6], last: &str) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let one_line = cell.replace(char::is_control, " ");
        let mut shown: String = one_line.chars().take(width).collect();
        if one_line.chars().count() > width {
            shown.pop();
            shown.push('…');
        }
        let padding = width - shown.chars().count() + 2;
        line.push_str(&shown);
        line.push_str(&" ".repeat(padding));
    }
    line.push_str(&last.replace(char::is_control, " "));
    writeln!(stdout(), "{}", line.trim_end())
}
