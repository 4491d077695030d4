//! The library-sync CSV (RFC 4180, UTF-8): a header row, then one row per entry.
//!
//! `;` separates labels in one cell. A `;` or `\` in a label's name is escaped with `\`. Against CSV injection, a `'`
//! before `=`, `+`, `-`, `@`, a tab or a carriage return prevents spreadsheets from evaluating the cell as a formula.
//!
//! **Invariant:** reading a written file returns the same entries, neutralised or not.

use std::io::Write;

use serde_json::Value;

use super::fields::FIELDS;
use crate::library::EntryLine;

/// First characters of a cell that spreadsheets evaluate as a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Writes entries.
///
/// # Errors
/// When `to` cannot be written.
pub(crate) fn write(entries: &[EntryLine], neutralised: bool, to: impl Write) -> ::csv::Result<()> {
    let rows = entries.iter().map(|entry| {
        let fields = serde_json::to_value(entry).unwrap_or_default();
        FIELDS.map(|field| cell(&fields[field]))
    });
    write_rows(FIELDS, rows, neutralised, to)
}

/// Writes a header row, then the rows. If `neutralised`, puts a `'` before cells that a spreadsheet would evaluate as a
/// formula.
pub(super) fn write_rows<const N: usize>(
    columns: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    neutralised: bool,
    to: impl Write,
) -> ::csv::Result<()> {
    let mut writer = ::csv::Writer::from_writer(to);
    writer.write_record(columns)?;
    for cells in rows {
        writer.write_record(cells.map(|cell| escape(cell, neutralised)))?;
    }
    Ok(writer.flush()?)
}

/// Puts a `'` before a formula if `neutralised`, and before a cell from which [`unescape`] would remove one.
fn escape(cell: String, neutralised: bool) -> String {
    let quotes = cell.len() - cell.trim_start_matches('\'').len();
    let is_formula = cell[quotes..].starts_with(FORMULA);
    if is_formula && (neutralised || quotes > 0) {
        format!("'{cell}")
    } else {
        cell
    }
}

/// Removes the `'` that [`escape`] adds.
pub(super) fn unescape(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(FORMULA) => rest,
        _ => cell,
    }
}

/// Converts a field of a serialised entry to a cell.
fn cell(field: &Value) -> String {
    match field {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        // Writes four stars as `4`, not `4.0`.
        Value::Number(number) => number.as_f64().unwrap_or_default().to_string(),
        Value::Array(names) => joined(names.iter().filter_map(Value::as_str)),
        Value::Null | Value::Object(_) => String::new(),
    }
}

/// Escapes and joins the names of labels.
fn joined<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let escaped = names.map(|name| name.replace('\\', r"\\").replace(';', r"\;"));
    escaped.collect::<Vec<_>>().join("; ")
}

/// Splits a cell into the names of labels, and unescapes them.
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
    fn a_formula_is_neutralised_on_request_and_round_trips() {
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
    fn names_of_labels_round_trip_with_any_characters() {
        for names in [vec!["a; b", r"c\", r"\;", "d, \"e\""], vec![], vec![";"]] {
            assert_eq!(split(&joined(names.iter().copied())), names);
        }
        assert_eq!(split(" a ;b;; c"), ["a", "b", "c"]);
    }
}
