//! Writes entries as CSV with the columns of Calibre's catalog, which Calibre's *Import List* plugin reads.

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
            // Calibre rates out of ten.
            entry
                .rating
                .map_or(String::new(), |stars| format!("{:.0}", stars * 2.0)),
            names(&entry.fandoms),
        ]
    });
    write_rows(COLUMNS, rows, neutralised, to)
}

/// Joins names with commas. A comma in a name becomes a semicolon.
fn names(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.replace(',', ";")).collect();
    names.join(", ")
}

/// Returns the identifier of a URL. A comma separates identifiers, so Calibre writes a comma in a value as `|`.
fn identifier(url: &str) -> String {
    match url.strip_prefix("urn:isbn:") {
        Some(isbn) => format!("isbn:{isbn}"),
        None => format!("url:{}", url.replace(',', "|")),
    }
}
