//! Reads CSV (RFC 4180, and the variants of spreadsheets) as a table: columns, and rows with their line numbers.
//!
//! A first line such as `sep=;` sets the separator. Otherwise it is the most frequent of comma, semicolon and tab in
//! the first row.
//!
//! **Invariant:** the line number of a row is the one that an editor shows, for any line ending and multi-line cells.
//! **Invariant:** a file is refused if a quote is not closed, or closed within a cell. Otherwise one row could absorb
//! the next rows.

use anyhow::{Context as _, bail};

use crate::lines::Lines;

/// A table with a header row.
#[derive(Debug)]
pub(super) struct Table {
    /// The names of the first row.
    pub columns: Vec<String>,
    /// The other rows.
    pub rows: Vec<Record>,
}

/// A row after the header row.
#[derive(Debug)]
pub(super) struct Record {
    /// Number of its first line, from 1.
    pub line: usize,
    /// The cells, at most one per column, or the reason why the row is refused.
    pub cells: Result<Vec<String>, String>,
}

/// Reads a table.
///
/// # Errors
/// When the header row is missing, or a quote is not closed correctly.
pub(super) fn read(text: &str) -> anyhow::Result<Table> {
    let (separator, skipped) = separator(text);
    let lines = Lines::of(text);
    let table = &text[skipped..];
    check_quotes(table, separator).map_err(|(offset, what)| {
        anyhow::anyhow!("line {}: {what}", lines.number(skipped + offset))
    })?;
    let mut reader = ::csv::ReaderBuilder::new()
        .flexible(true)
        .delimiter(separator)
        .from_reader(table.as_bytes());
    let columns: Vec<_> = reader
        .headers()
        .context("the first row cannot be read")?
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    if columns.iter().all(String::is_empty) {
        bail!("the file has no first row of column names");
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let begin = record.position().map_or(0, ::csv::Position::byte);
        let begin = skipped + usize::try_from(begin).unwrap_or_default();
        // The reader's position is before the line ends and empty lines that it skips.
        let empty = text[begin..].len() - text[begin..].trim_start_matches(['\r', '\n']).len();
        let line = lines.number(begin + empty);
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let cells = if record
            .iter()
            .skip(columns.len())
            .any(|cell| !cell.trim().is_empty())
        {
            let (cells, columns) = (record.len(), columns.len());
            Err(format!(
                "it has {cells} cells, but there are {columns} columns"
            ))
        } else {
            let cells = record.iter().take(columns.len());
            Ok(cells.map(str::to_owned).collect())
        };
        rows.push(Record { line, cells });
    }
    Ok(Table { columns, rows })
}

/// Returns the separator, and the length of a line `sep=` in bytes.
fn separator(text: &str) -> (u8, usize) {
    let first = text.split(['\r', '\n']).next().unwrap_or_default();
    if let Some(named) = first.trim_end().strip_prefix("sep=")
        && let [separator @ (b',' | b';' | b'\t' | b'|')] = named.as_bytes()
    {
        let rest = text[first.len()..].trim_start_matches('\r');
        let rest = rest.strip_prefix('\n').unwrap_or(rest);
        return (*separator, text.len() - rest.len());
    }
    let mut is_quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in text.bytes().skip_while(u8::is_ascii_whitespace) {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => break,
            byte if !is_quoted => {
                let count = counts.iter_mut().find(|(separator, _)| *separator == byte);
                if let Some((_, count)) = count {
                    *count += 1;
                }
            }
            _ => {}
        }
    }
    // On a tie the first wins, so a single column has a comma.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    (most.map_or(b',', |(separator, _)| separator), 0)
}

/// Checks that every closing quote is at the end of its cell. An error has the offset of the opening quote.
fn check_quotes(text: &str, separator: u8) -> Result<(), (usize, &'static str)> {
    let bytes = text.as_bytes();
    let (mut at, mut begins_cell) = (0, true);
    while at < bytes.len() {
        if !begins_cell || bytes[at] != b'"' {
            begins_cell = matches!(bytes[at], b'\r' | b'\n') || bytes[at] == separator;
            at += 1;
            continue;
        }
        let opened = at;
        at += 1;
        loop {
            let Some(length) = bytes[at..].iter().position(|byte| *byte == b'"') else {
                return Err((opened, "a quote opens here and is never closed"));
            };
            at += length + 1;
            if bytes.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
        begins_cell = false;
        match bytes.get(at) {
            None | Some(b'\r' | b'\n') => {}
            Some(byte) if *byte == separator => {}
            Some(_) => {
                let what = "a quote opens here and is closed within a cell; write a quote inside a quoted cell twice";
                return Err((opened, what));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let table = read(text).unwrap();
        table.rows.iter().map(|row| row.line).collect()
    }

    #[test]
    fn a_row_has_the_line_that_an_editor_shows() {
        for end in ["\n", "\r\n", "\r"] {
            let text = [
                "title,url",
                "A,u",
                "",
                "B,\"two",
                "lines\"",
                "C,u",
                "",
                "",
                "D,u",
            ]
            .join(end);
            assert_eq!(lines(&text), [2, 4, 6, 9], "{end:?}");
            assert_eq!(
                lines(&format!("sep=,{end}{text}{end}")),
                [3, 5, 7, 10],
                "{end:?}"
            );
        }
        assert_eq!(lines("\n\ntitle,url\nA,u\n"), [4]);
    }

    #[test]
    fn a_quote_that_is_not_closed_refuses_the_file_and_names_its_line() {
        for (text, line) in [
            ("title,url,notes\nA,u,\"good\nB,u,fine\n", 2),
            ("title,url,notes\r\nA,u,x\r\n\r\nB,u,\"good\r\nC,u,fine", 4),
            // Closed by the next cell's quote.
            ("title,url,notes\nA,u,\"good\nB,u,\"fine\"\n", 2),
            ("title,url,notes\nA,u,\"say \"hi\" twice\"\n", 2),
            ("\"title,url\nA,u\n", 1),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("line {line}: a quote opens")),
                "{text:?}: {error}"
            );
        }
        let table = read("title,notes\n5\" disk,\"say \"\"hi\"\"\"\n").unwrap();
        assert_eq!(
            table.rows[0].cells.as_ref().unwrap(),
            &["5\" disk", "say \"hi\""]
        );
    }

    #[test]
    fn the_separator_is_named_or_found() {
        for text in [
            "title;url;tags\nOne, two;u;a\n",
            "title\turl\ttags\nOne, two\tu\ta\n",
            "sep=;\ntitle;url;tags\nOne, two;u;a\n",
            "\"title\",\"url\",\"a;b;c;d\"\n\"One, two\",u,a\n",
        ] {
            let table = read(text).unwrap();
            assert_eq!(table.columns.len(), 3, "{text:?}");
            assert_eq!(table.rows[0].cells.as_ref().unwrap()[0], "One, two");
        }
    }

    #[test]
    fn only_the_row_with_more_cells_than_columns_is_refused() {
        let table = read("title,url\nA,u,x\nB,u,,\nC\n,,\n").unwrap();
        let sound: Vec<_> = table
            .rows
            .iter()
            .map(|row| (row.line, row.cells.is_ok()))
            .collect();
        assert_eq!(sound, [(2, false), (3, true), (4, true)]);
        assert!(read("").is_err());
        assert!(read("\n \n").is_err());
    }
}
