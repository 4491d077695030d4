//! Our own CSV (RFC 4180, UTF-8): a row of column names, then a row for each entry.
//!
//! Several labels in one cell are separated by `;`. In a label's name a `;` or a `\` has a `\` before it. A `'` before
//! `=`, `+`, `-`, `@`, a tab or a carriage return keeps spreadsheets from taking the cell for a formula.
//!
//! **Invariant:** what is written is read back as it was, neutralised or not.

use std::io::Write;

use super::{cell_value::name, fields::FIELDS};
use crate::library::EntryLine;

/// What spreadsheets take for a formula at the beginning of a cell.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Writes entries. `neutralised` puts a `'` before what a spreadsheet would take for a formula.
///
/// # Errors
/// When `to` cannot be written.
pub(crate) fn write(entries: &[EntryLine], neutralised: bool, to: impl Write) -> ::csv::Result<()> {
    let mut writer = ::csv::Writer::from_writer(to);
    writer.write_record(FIELDS)?;
    for entry in entries {
        writer.write_record(FIELDS.map(|field| escape(cell(entry, field), neutralised)))?;
    }
    Ok(writer.flush()?)
}

/// Puts a `'` before a formula, or before what [`unescape`] would take for one that was neutralised.
pub(super) fn escape(cell: String, neutralised: bool) -> String {
    let quotes = cell.len() - cell.trim_start_matches('\'').len();
    let is_formula = cell[quotes..].starts_with(FORMULA);
    if is_formula && (neutralised || quotes > 0) {
        format!("'{cell}")
    } else {
        cell
    }
}

/// Takes the `'` of [`escape`] away.
pub(super) fn unescape(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(FORMULA) => rest,
        _ => cell,
    }
}

fn cell(entry: &EntryLine, field: &str) -> String {
    fn or_empty<T>(value: Option<&T>, show: impl Fn(&T) -> String) -> String {
        value.map(show).unwrap_or_default()
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    match field {
        "title" => entry.title.clone(),
        "author" => text(&entry.author),
        "url" => entry.url.clone(),
        "source" => or_empty(entry.source.as_ref(), name),
        "publicationStatus" => or_empty(entry.publication_status.as_ref(), name),
        "description" => text(&entry.description),
        "summary" => text(&entry.summary),
        "chapterCount" => or_empty(entry.chapter_count.as_ref(), ToString::to_string),
        "wordCount" => or_empty(entry.word_count.as_ref(), ToString::to_string),
        "isNsfw" => or_empty(entry.is_nsfw.as_ref(), ToString::to_string),
        "tags" => joined(&entry.tags),
        "fandoms" => joined(&entry.fandoms),
        "readingStatus" => or_empty(entry.reading_status.as_ref(), name),
        "currentChapter" => or_empty(entry.current_chapter.as_ref(), ToString::to_string),
        "rating" => or_empty(entry.rating.as_ref(), ToString::to_string),
        "notes" => text(&entry.notes),
        _ => String::new(),
    }
}

/// Names of labels as a cell.
pub(super) fn joined(names: &[String]) -> String {
    let escaped = names
        .iter()
        .map(|name| name.replace('\\', r"\\").replace(';', r"\;"));
    escaped.collect::<Vec<_>>().join("; ")
}

/// The names of labels in a cell.
pub(super) fn split(cell: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut letters = cell.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ';' => names.push(String::new()),
            letter => {
                let meant = if letter == '\\' {
                    letters.next()
                } else {
                    Some(letter)
                };
                if let Some(name) = names.last_mut() {
                    name.extend(meant);
                }
            }
        }
    }
    let trimmed = names.iter().map(|name| name.trim().to_owned());
    trimmed.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_neutralised_on_request_and_comes_back_as_it_was() {
        for text in ["=1+1", "'=1", "''+1", "-", "@x", "'tis", "plain", "", "\t="] {
            for neutralised in [false, true] {
                let cell = escape(text.to_owned(), neutralised);
                assert_eq!(unescape(&cell), text, "{neutralised}");
                assert!(!neutralised || !cell.starts_with(FORMULA), "{cell}");
            }
        }
        assert_eq!(escape("=1+1".into(), false), "=1+1");
    }

    #[test]
    fn names_of_labels_survive_whatever_they_hold() {
        for names in [vec!["a; b", r"c\", r"\;", "d, \"e\""], vec![], vec![";"]] {
            let names: Vec<_> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(split(&joined(&names)), names);
        }
        assert_eq!(split(" a ;b;; c"), ["a", "b", "c"]);
    }
}
