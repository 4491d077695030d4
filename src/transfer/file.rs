//! Reads a file into entries: decodes it, detects its kind and reads its rows.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::Context as _;

use super::{
    column_layout::Columns,
    contents::{Choice, Contents, Row},
    json, table,
    text_encoding::decode,
};
use crate::config::FileKind;

/// Opens the file at `path`, or standard input for `-`.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Reads the rest of the file at `path`.
///
/// # Errors
/// When the file cannot be read or parsed.
pub(crate) fn read_from(
    source: &mut dyn BufRead,
    path: &Path,
    choice: &Choice<'_>,
) -> anyhow::Result<Contents> {
    let mut bytes = Vec::new();
    source
        .read_to_end(&mut bytes)
        .map_err(anyhow::Error::from)
        .and_then(|_| read(&bytes, choice))
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Reads the bytes of a file.
///
/// # Errors
/// When it is not JSON and not a table with a title column.
pub fn read(bytes: &[u8], choice: &Choice<'_>) -> anyhow::Result<Contents> {
    let decoded = decode(bytes)?;
    let text = decoded.text.as_str();
    let is_json = match choice.kind {
        Some(FileKind::Json) => true,
        Some(FileKind::Csv) => false,
        _ => text.trim_start().starts_with(['[', '{']),
    };
    let contents = if is_json {
        json::read(text, choice)?
    } else {
        read_table(text, choice)?
    };
    Ok(Contents {
        remark: decoded.guess,
        ..contents
    })
}

fn read_table(text: &str, choice: &Choice<'_>) -> anyhow::Result<Contents> {
    let table = table::read(text)?;
    let columns = Columns::recognise(&table.columns, choice.kind, choice.mapped)?;
    let rows = table.rows.into_iter().map(|record| match record.cells {
        Ok(cells) => Row::of(record.line, columns.draft(&cells).finish()),
        Err(why) => Row::refused(record.line, why),
    });
    Ok(Contents {
        kind: columns.kind,
        rows: rows.collect(),
        ignored: columns.ignored(),
        remark: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{EntryLine, ProgressStatus, Source};

    fn rows(text: &str) -> Vec<Row> {
        read(text.as_bytes(), &Choice::default()).unwrap().rows
    }

    #[test]
    fn the_samples_columns_are_understood() {
        let [row] = <[Row; 1]>::try_from(rows(
            "title,author,url,chapters\nEmma,Jane Austen,https://example.org/158,55\n",
        ))
        .unwrap();
        let expected = EntryLine {
            title: "Emma".into(),
            author: Some("Jane Austen".into()),
            url: "https://example.org/158".into(),
            chapter_count: Some(55),
            ..EntryLine::default()
        };
        assert_eq!((row.entry, row.warnings), (Ok(expected), vec![]));
    }

    #[test]
    fn columns_may_be_spelt_and_ordered_as_people_do() {
        let rows = rows(
            "\u{feff}URL,Progress Status,source,Title,is_nsfw\nhttps://e.org,not started,ao3,A,Yes\n",
        );
        let entry = rows[0].entry.as_ref().unwrap();
        assert_eq!(entry.reading_status, Some(ProgressStatus::NotStarted));
        assert_eq!(
            (entry.source, entry.is_nsfw),
            (Some(Source::ArchiveOfOurOwn), Some(true))
        );
    }

    #[test]
    fn an_optional_cell_that_cannot_be_read_never_costs_its_row() {
        let rows = rows(
            "title,url,rating,chapters,isNsfw,publicationStatus\nA,https://e.org/a,good,many,maybe,soon\nB,nowhere,,,,\n",
        );
        let entry = rows[0].entry.as_ref().unwrap();
        assert_eq!(
            (
                entry.rating,
                entry.chapter_count,
                entry.is_nsfw,
                entry.publication_status
            ),
            (None, None, None, None)
        );
        assert_eq!(rows[0].warnings.len(), 4, "{:?}", rows[0].warnings);
        assert!(rows[1].entry.is_err());
    }
}
