//! Entries as a CSV with the columns of Calibre's catalog, which its *Import List* plugin reads.

use std::io::Write;

use super::csv::write_rows;
use crate::library::EntryLine;

const COLUMNS: [&str; 7] = [
    "title",
    "authors",
    "tags",
    "comments",
    "identifiers",
    "rating",
    "#fandoms",
];

/// Writes entries.
///
/// # Errors
/// When `to` cannot be written.
pub(crate) fn write(entries: &[EntryLine], neutralised: bool, to: impl Write) -> ::csv::Result<()> {
    let rows = entries.iter().map(|entry| {
        [
            entry.title.clone(),
            entry.author.clone().unwrap_or_default(),
            names(&entry.tags),
            entry.description.clone().unwrap_or_default(),
            identifier(&entry.url),
            // Of ten.
            entry
                .rating
                .map_or(String::new(), |stars| format!("{:.0}", stars * 2.0)),
            names(&entry.fandoms),
        ]
    });
    write_rows(COLUMNS, rows, neutralised, to)
}

/// A comma separates names, so one in a name becomes a semicolon.
fn names(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.replace(',', ";")).collect();
    names.join(", ")
}

/// A comma separates identifiers; Calibre writes one in a value as `|`.
fn identifier(url: &str) -> String {
    match url.strip_prefix("urn:isbn:") {
        Some(isbn) => format!("isbn:{isbn}"),
        None => format!("url:{}", url.replace(',', "|")),
    }
}
