//! Entries as JSON: an array of what `importLibrary` takes as `entries`.

use std::{collections::BTreeSet, io::Write};

use serde_json::{Map, Value, value::RawValue};

use super::{Contents, FIELDS, Row};
use crate::library::EntryLine;

/// Reads entries.
///
/// # Errors
/// When the bytes are no JSON array.
pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Contents> {
    let text = std::str::from_utf8(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let elements: Vec<&RawValue> = serde_json::from_str(text)?;
    let mut ignored = BTreeSet::new();
    let (mut line, mut counted) = (1, 0);
    let rows = elements.into_iter().map(|element| {
        // It is a part of the text, so where it begins tells its line.
        let begin = element.get().as_ptr().addr() - text.as_ptr().addr();
        line += text[counted..begin].matches('\n').count() as u64;
        counted = begin;
        Row {
            line,
            entry: entry(element.get(), &mut ignored),
        }
    });
    Ok(Contents {
        rows: rows.collect(),
        ignored,
    })
}

/// Writes entries, one a line.
///
/// # Errors
/// When `to` cannot be written.
pub(super) fn write(entries: &[EntryLine], mut to: impl Write) -> anyhow::Result<()> {
    let mut before = "[\n";
    for entry in entries {
        to.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut to, entry)?;
        before = ",\n";
    }
    let end = if entries.is_empty() { "[]\n" } else { "\n]\n" };
    Ok(to.write_all(end.as_bytes())?)
}

fn entry(element: &str, ignored: &mut BTreeSet<String>) -> Result<EntryLine, String> {
    let mut fields: Map<String, Value> =
        serde_json::from_str(element).map_err(|_| "it is no object".to_owned())?;
    // As in GraphQL, null is as good as absent.
    fields.retain(|name, value| {
        let is_known = FIELDS.contains(&name.as_str());
        if !is_known {
            ignored.insert(name.clone());
        }
        is_known && !value.is_null()
    });
    let read = |fields| serde_json::from_value::<EntryLine>(Value::Object(fields));
    read(fields.clone()).map_err(|whole| {
        // The error does not say which field it is in, but each field can be read alone.
        let alone = |(name, value)| {
            let wrong = read(Map::from_iter([(String::clone(&name), value)])).err()?;
            Some(format!("{name}: {wrong}"))
        };
        fields
            .into_iter()
            .find_map(alone)
            .unwrap_or_else(|| whole.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_entry_is_told_by_its_line_and_its_field_and_the_others_are_read() {
        let json = r#"[
            {"title": "A", "url": "u", "notes": null, "shelf": 1},
            {"title": "B",
             "url": "u", "currentChapter": "one"}, 7,
            {"status": "ongoing"}
        ]"#;
        let contents = read(json.as_bytes()).unwrap();
        let lines: Vec<_> = contents.rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
        let [a, b, seven, status] = &contents.rows[..] else {
            panic!()
        };
        assert_eq!(a.entry.as_ref().unwrap().title, "A");
        assert!(
            b.entry
                .as_ref()
                .unwrap_err()
                .starts_with("currentChapter: invalid type")
        );
        assert_eq!(seven.entry.as_ref().unwrap_err(), "it is no object");
        assert!(
            status
                .entry
                .as_ref()
                .unwrap_err()
                .starts_with("status: unknown variant `ongoing`")
        );
        assert_eq!(contents.ignored, ["shelf".to_owned()].into());
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for json in ["", "{}", "[{}", "[] []", "null"] {
            assert!(read(json.as_bytes()).is_err(), "{json}");
        }
        assert_eq!(read(b"\xef\xbb\xbf[]").unwrap(), Contents::default());
    }
}
