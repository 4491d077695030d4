//! Reads and writes entries as JSON: an array of the entries of `importLibrary`. Also reads the JSON of Calibre and
//! FanFicFare.

use std::{collections::BTreeSet, io::Write};

use serde_json::{Map, Value, value::RawValue};

use super::{
    column_layout::Columns,
    contents::{Choice, Contents, Row},
    entry_builder::Draft,
    fields::FIELDS,
};
use crate::{config::FileKind, library::EntryLine, lines::Lines};

/// Reads entries.
///
/// # Errors
/// When the text is not a JSON array or object.
pub(super) fn read(text: &str, choice: &Choice<'_>) -> anyhow::Result<Contents> {
    // FanFicFare writes a single story as an object, without an array.
    let elements: Vec<&RawValue> = if text.trim_start().starts_with('{') {
        vec![serde_json::from_str(text)?]
    } else {
        serde_json::from_str(text)?
    };
    if let Some(columns) = foreign(&elements, choice)? {
        return Ok(foreign_rows(text, &elements, &columns));
    }
    let mut ignored = BTreeSet::new();
    let lines = Lines::of(text);
    let rows = elements.into_iter().map(|element| {
        let line = line(text, &lines, element);
        match draft(element.get(), &mut ignored) {
            Ok(draft) => Row::of(line, draft.finish()),
            Err(why) => Row::refused(line, why),
        }
    });
    Ok(Contents {
        kind: FileKind::Json,
        rows: rows.collect(),
        ignored,
        ..Contents::default()
    })
}

/// Returns the line number on which an element begins.
fn line(text: &str, lines: &Lines, element: &RawValue) -> usize {
    lines.number(element.get().as_ptr().addr() - text.as_ptr().addr())
}

/// Returns the columns of another program's objects. `None` for library-sync JSON.
fn foreign(elements: &[&RawValue], choice: &Choice<'_>) -> anyhow::Result<Option<Columns>> {
    let mut names = Vec::new();
    for element in elements {
        let object: Map<String, Value> = serde_json::from_str(element.get()).unwrap_or_default();
        for name in object.into_iter().map(|(name, _)| name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let is_ours = match choice.kind {
        Some(kind) => kind == FileKind::Json,
        None => !Columns::are_foreign(&names),
    };
    if is_ours {
        return Ok(None);
    }
    Columns::recognise(&names, choice.kind, choice.mapped).map(Some)
}

fn foreign_rows(text: &str, elements: &[&RawValue], columns: &Columns) -> Contents {
    let lines = Lines::of(text);
    let rows = elements.iter().map(|element| {
        let line = line(text, &lines, element);
        match serde_json::from_str::<Map<String, Value>>(element.get()) {
            Ok(object) => Row::of(line, columns.draft_of(&object).finish()),
            Err(_) => Row::refused(line, "it is not an object".to_owned()),
        }
    });
    Contents {
        kind: columns.kind,
        rows: rows.collect(),
        ignored: columns.ignored(),
        ..Contents::default()
    }
}

/// Writes entries, one per line.
///
/// # Errors
/// When `to` cannot be written.
pub(crate) fn write(entries: &[EntryLine], mut to: impl Write) -> anyhow::Result<()> {
    let mut before = "[\n";
    for entry in entries {
        to.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut to, entry)?;
        before = ",\n";
    }
    let end = if entries.is_empty() { "[]\n" } else { "\n]\n" };
    Ok(to.write_all(end.as_bytes())?)
}

/// Reads an entry, and clears the optional fields that cannot be read, with a warning.
fn draft(element: &str, ignored: &mut BTreeSet<String>) -> Result<Draft, String> {
    let mut fields: Map<String, Value> =
        serde_json::from_str(element).map_err(|_| "it is not an object".to_owned())?;
    // A null field counts as absent.
    fields.retain(|name, value| {
        let is_known = FIELDS.contains(&name.as_str());
        if !is_known {
            ignored.insert(name.clone());
        }
        is_known && !value.is_null()
    });
    let read = |fields| serde_json::from_value::<EntryLine>(Value::Object(fields));
    // The error of serde does not name the field, so each field is read alone.
    let mut unread = Vec::new();
    fields.retain(|name, value| {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        let fault = read(alone).err();
        unread.extend(
            fault
                .as_ref()
                .map(|fault| (name.clone(), fault.to_string())),
        );
        fault.is_none()
    });
    if let Some((name, why)) = unread
        .iter()
        .find(|(name, _)| matches!(name.as_str(), "title" | "url"))
    {
        return Err(format!("{name}: {why}"));
    }
    let mut draft = Draft::from(read(fields).map_err(|error| error.to_string())?);
    for (name, why) in unread {
        draft.warn(&name, &format!("{why}; left empty"));
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_field_that_cannot_be_read_never_costs_its_entry() {
        let json = r#"[
            {"title": "A", "url": "https://e.org/a", "notes": null, "shelf": 1},
            {"title": "B",
             "url": "https://e.org/b", "currentChapter": "one", "publicationStatus": "ongoing", "rating": 9}, 7,
            {"title": 1, "url": "https://e.org/c"}
        ]"#;
        let contents = read(json, &Choice::default()).unwrap();
        let lines: Vec<_> = contents.rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
        let [a, b, seven, title] = &contents.rows[..] else {
            panic!()
        };
        assert_eq!(
            (a.entry.as_ref().unwrap().title.as_str(), a.warnings.len()),
            ("A", 0)
        );
        assert!(b.entry.is_ok());
        let fields: Vec<_> = b
            .warnings
            .iter()
            .map(|warning| warning.split(':').next().unwrap())
            .collect();
        assert_eq!(fields, ["currentChapter", "publicationStatus", "rating"]);
        assert_eq!(seven.entry.as_ref().unwrap_err(), "it is not an object");
        assert!(
            title
                .entry
                .as_ref()
                .unwrap_err()
                .starts_with("title: invalid type")
        );
        assert_eq!(contents.ignored, ["shelf".to_owned()].into());
    }

    #[test]
    fn what_is_not_an_array_of_objects_is_refused() {
        for json in ["", "{", "[{}", "[] []", "null"] {
            assert!(read(json, &Choice::default()).is_err(), "{json}");
        }
        assert_eq!(read("[]", &Choice::default()).unwrap().rows, []);
    }
}
