//! Entries as CSV (RFC 4180, UTF-8): a row of column names, then a row for each entry.
//!
//! Several labels in one cell are separated by `;`. In a label's name a `;` or a `\` has a `\` before it.

use std::io::Write;

use serde::Serialize;
use strum::IntoEnumIterator;

use super::{Contents, FIELDS, Row};
use crate::library::EntryLine;

/// Reads entries. Columns may be in any order, and be named in any case; `chapters` is `chapterCount`.
///
/// # Errors
/// When the first row does not name the columns `title` and `url`.
pub fn read(bytes: &[u8]) -> anyhow::Result<Contents> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = reader.headers()?;
    let columns: Vec<_> = header.iter().map(field_of).collect();
    let ignored = header
        .iter()
        .zip(&columns)
        .filter(|(_, field)| field.is_none());
    let ignored = ignored.map(|(name, _)| name.to_owned()).collect();
    for needed in ["title", "url"] {
        anyhow::ensure!(
            columns.contains(&Some(needed)),
            "the first row names no column `{needed}`"
        );
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(match record {
            Ok(record) => Row {
                line: record.position().map_or(0, csv::Position::line),
                entry: entry(&columns, &record),
            },
            Err(error) => Row {
                line: error.position().map_or(0, csv::Position::line),
                entry: match error.kind() {
                    csv::ErrorKind::Utf8 { .. } => Err("it is not UTF-8".to_owned()),
                    _ => return Err(error.into()),
                },
            },
        });
    }
    Ok(Contents { rows, ignored })
}

/// Writes entries.
///
/// # Errors
/// When `to` cannot be written.
pub(super) fn write(entries: &[EntryLine], to: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(FIELDS)?;
    for entry in entries {
        writer.write_record(FIELDS.map(|field| cell(entry, field)))?;
    }
    Ok(writer.flush()?)
}

fn field_of(column: &str) -> Option<&'static str> {
    let column = plain(column);
    if column == "chapters" {
        return Some("chapterCount");
    }
    FIELDS.into_iter().find(|field| plain(field) == column)
}

/// A name without what people write differently: case, spaces, underscores.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn entry(columns: &[Option<&str>], record: &csv::StringRecord) -> Result<EntryLine, String> {
    if record.len() > columns.len() {
        let (cells, columns) = (record.len(), columns.len());
        return Err(format!(
            "it has {cells} cells, but there are {columns} columns"
        ));
    }
    let mut entry = EntryLine::default();
    for (field, cell) in columns.iter().zip(record) {
        if let Some(field) = field
            && !cell.is_empty()
        {
            set(&mut entry, field, cell).map_err(|rule| format!("{field}: {rule}"))?;
        }
    }
    Ok(entry)
}

fn set(entry: &mut EntryLine, field: &str, cell: &str) -> Result<(), String> {
    let text = || cell.to_owned();
    match field {
        "title" => entry.title = text(),
        "author" => entry.author = Some(text()),
        "url" => entry.url = text(),
        "source" => entry.source = Some(named(cell)?),
        "status" => entry.status = Some(named(cell)?),
        "description" => entry.description = Some(text()),
        "summary" => entry.summary = Some(text()),
        "chapterCount" => entry.chapter_count = Some(number(cell)?),
        "wordCount" => entry.word_count = Some(number(cell)?),
        "isNsfw" => entry.is_nsfw = Some(flag(cell)?),
        "tags" => entry.tags = split(cell),
        "fandoms" => entry.fandoms = split(cell),
        "progressStatus" => entry.progress_status = Some(named(cell)?),
        "currentChapter" => entry.current_chapter = Some(number(cell)?),
        "rating" => entry.rating = Some(number(cell)?),
        "notes" => entry.notes = Some(text()),
        _ => {}
    }
    Ok(())
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
        "status" => or_empty(entry.status.as_ref(), name),
        "description" => text(&entry.description),
        "summary" => text(&entry.summary),
        "chapterCount" => or_empty(entry.chapter_count.as_ref(), ToString::to_string),
        "wordCount" => or_empty(entry.word_count.as_ref(), ToString::to_string),
        "isNsfw" => or_empty(entry.is_nsfw.as_ref(), ToString::to_string),
        "tags" => joined(&entry.tags),
        "fandoms" => joined(&entry.fandoms),
        "progressStatus" => or_empty(entry.progress_status.as_ref(), name),
        "currentChapter" => or_empty(entry.current_chapter.as_ref(), ToString::to_string),
        "rating" => or_empty(entry.rating.as_ref(), ToString::to_string),
        "notes" => text(&entry.notes),
        _ => String::new(),
    }
}

/// The name of an enum value, as JSON and GraphQL spell it.
fn name(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

fn named<T: IntoEnumIterator + Serialize>(cell: &str) -> Result<T, String> {
    let known = T::iter().find(|value| plain(&name(value)) == plain(cell));
    known.ok_or_else(|| {
        let names: Vec<_> = T::iter().map(|value| name(&value)).collect();
        format!("`{cell}` is none of {}", names.join(", "))
    })
}

fn number<T: std::str::FromStr>(cell: &str) -> Result<T, String> {
    let number = cell.trim().parse();
    number.map_err(|_| format!("`{cell}` is no number that fits"))
}

fn flag(cell: &str) -> Result<bool, String> {
    match plain(cell).as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("`{cell}` is neither true nor false")),
    }
}

fn joined(names: &[String]) -> String {
    let escaped = names
        .iter()
        .map(|name| name.replace('\\', r"\\").replace(';', r"\;"));
    escaped.collect::<Vec<_>>().join("; ")
}

fn split(cell: &str) -> Vec<String> {
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
    use crate::library::{ProgressStatus, Source};

    fn only(csv: &str) -> Row {
        let mut rows = read(csv.as_bytes()).unwrap().rows;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    #[test]
    fn the_samples_columns_are_understood() {
        let row = only("title,author,url,chapters\nEmma,Jane Austen,https://example.org/158,55\n");
        let expected = EntryLine {
            title: "Emma".into(),
            author: Some("Jane Austen".into()),
            url: "https://example.org/158".into(),
            chapter_count: Some(55),
            ..EntryLine::default()
        };
        assert_eq!(row.entry, Ok(expected));
    }

    #[test]
    fn columns_may_be_spelt_and_ordered_as_people_do() {
        let row = only(
            "\u{feff}URL,Progress Status,source,Title,is_nsfw\nhttps://e.org,not started,ao3,A,Yes\n",
        );
        assert!(
            row.entry
                .unwrap_err()
                .starts_with("source: `ao3` is none of ARCHIVE_OF_OUR_OWN,")
        );
        let row = only(
            "URL,Progress Status,source,Title,is_nsfw\nhttps://e.org,not started,FanFictionNet,A,Yes\n",
        );
        let entry = row.entry.unwrap();
        assert_eq!(entry.progress_status, Some(ProgressStatus::NotStarted));
        assert_eq!(entry.source, Some(Source::FanFictionNet));
        assert_eq!(entry.is_nsfw, Some(true));
    }

    #[test]
    fn a_bad_row_is_told_by_its_line_and_the_others_are_read() {
        let csv = b"title,url,rating\n\"two\nlines\",u,4.5\nA,u,good\nB,u,1,2\n\xff,u,\nC\n";
        let rows = read(csv).unwrap().rows;
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.line, row.entry.as_ref().err()))
            .collect();
        let lines: Vec<_> = told.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 5, 6, 7]);
        let bad: Vec<_> = told.iter().map(|(_, why)| why.is_some()).collect();
        assert_eq!(bad, [false, true, true, true, false], "{told:?}");
    }

    #[test]
    fn a_file_without_titles_or_urls_is_refused_and_other_columns_are_told() {
        assert!(read(b"title,author\nA,B\n").is_err());
        assert!(read(b"").is_err());
        let contents = read(b"title,url,shelf\nA,u,s\n").unwrap();
        assert_eq!(contents.ignored, ["shelf".to_owned()].into());
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
