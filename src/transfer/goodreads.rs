//! Writes entries as Goodreads CSV, which Goodreads and StoryGraph import.
//!
//! Goodreads identifies books by ISBN, or by author and title. So an address is written only if it is an ISBN or a
//! Goodreads URL. Tags and fandoms become shelves.

use std::io::Write;

use super::csv::write_rows;
use crate::library::{EntryLine, ProgressStatus};

const COLUMNS: [&str; 8] = [
    "Book Id",
    "Title",
    "Author",
    "ISBN13",
    "My Rating",
    "Bookshelves",
    "Exclusive Shelf",
    "My Review",
];

/// Writes entries.
///
/// # Errors
/// When `to` cannot be written.
pub(crate) fn write(entries: &[EntryLine], neutralised: bool, to: impl Write) -> ::csv::Result<()> {
    let rows = entries.iter().map(|entry| {
        [
            book_id(&entry.url),
            entry.title.clone(),
            entry.author.clone().unwrap_or_default(),
            entry
                .url
                .strip_prefix("urn:isbn:")
                .unwrap_or_default()
                .to_owned(),
            // Goodreads has whole stars, and 0 means unrated.
            entry
                .rating
                .map_or("0".to_owned(), |stars| format!("{stars:.0}")),
            shelves(entry),
            shelf(entry.reading_status.unwrap_or_default()).to_owned(),
            entry
                .notes
                .clone()
                .unwrap_or_default()
                .replace('\n', "<br/>"),
        ]
    });
    write_rows(COLUMNS, rows, neutralised, to)
}

fn book_id(url: &str) -> String {
    let id = url.strip_prefix("https://www.goodreads.com/book/show/");
    id.unwrap_or_default().to_owned()
}

/// Joins shelf names with commas, and removes commas from the names.
fn shelves(entry: &EntryLine) -> String {
    let names = entry.tags.iter().chain(&entry.fandoms);
    let names: Vec<_> = names.map(|name| name.replace(',', "")).collect();
    names.join(", ")
}

fn shelf(status: ProgressStatus) -> &'static str {
    match status {
        ProgressStatus::NotStarted | ProgressStatus::PlanToRead => "to-read",
        ProgressStatus::Reading => "currently-reading",
        ProgressStatus::Completed => "read",
        ProgressStatus::Paused => "on-hold",
        ProgressStatus::Dropped | ProgressStatus::DroppedAsAbandoned => "did-not-finish",
    }
}
