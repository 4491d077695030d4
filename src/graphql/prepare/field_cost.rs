//! Weight of a field: the cost of its read, in addition to the 1 that it counts in the response.
//!
//! A weight of 1 is the cost of one field of a row that was already read.

use async_graphql::Value;

use super::plan::Planned;

/// Weight of one key in a batched read.
const LOADED: u64 = 2;

/// Weight of a read of all rows of a library: a count or an aggregate.
const WHOLE_LIBRARY: u64 = 1_000;

/// Weight of a search word, which is compared with all rows of a library.
const WORD: u64 = 500;

/// Weight of a read of rows as of an earlier version, which takes several statements.
const PAST: u64 = 100;

/// Minimum weight of an element in a list of all labels.
pub(super) const LABEL: u64 = 3;

/// Minimum weight of a change: a story or a progress with all of its texts. As many rows of the other kind are read
/// too, and do not fit into the page.
const CHANGE: u64 = 20;

/// Fields with their own read.
const WEIGHTS: [(&str, &str, u64); 21] = [
    ("Fandom", "storyCount", LOADED),
    ("Tag", "storyCount", LOADED),
    ("Story", "tags", LOADED),
    ("Story", "fandoms", LOADED),
    ("Story", "progress", LOADED),
    ("Progress", "story", LOADED),
    ("Library", "stats", WHOLE_LIBRARY),
    ("LibraryStats", "topTags", WHOLE_LIBRARY),
    ("LibraryStats", "topFandoms", WHOLE_LIBRARY),
    ("ProgressConnection", "totalCount", WHOLE_LIBRARY),
    ("PastLibrary", "entries", PAST),
    ("PastLibrary", "tags", WHOLE_LIBRARY),
    ("PastLibrary", "fandoms", WHOLE_LIBRARY),
    ("HistoryWrite", "changes", PAST),
    ("LibraryEvent", "warm", LOADED),
    ("Query", "node", LOADED),
    ("Query", "nodes", LOADED),
    ("DeleteProgressPayload", "changedTags", LOADED),
    ("DeleteProgressPayload", "changedFandoms", LOADED),
    ("DeleteTagPayload", "changedStories", LOADED),
    ("DeleteFandomPayload", "changedStories", LOADED),
];

/// Returns the weight of a field.
pub(super) fn of(field: &Planned<'_>) -> u64 {
    let found = WEIGHTS
        .iter()
        .find(|(parent, name, _)| field.parent == *parent && field.field.name == *name);
    let reading = found.map_or(0, |(_, _, weight)| *weight);
    reading.saturating_add(WORD.saturating_mul(words(field)))
}

/// Returns the minimum weight of an element of a page.
pub(super) fn of_element(field: &Planned<'_>) -> u64 {
    if field.field.name == "libraryChanges" {
        CHANGE
    } else {
        1
    }
}

/// Returns the number of search words in a field's arguments.
fn words(field: &Planned<'_>) -> u64 {
    let searched = field
        .arguments
        .iter()
        .find_map(|(name, value)| match value {
            Value::String(text) if *name == "search" => Some(text),
            Value::Object(filter) => match filter.get("search") {
                Some(Value::String(text)) => Some(text),
                _ => None,
            },
            _ => None,
        });
    searched.map_or(0, |text| {
        u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::schema::SCHEMA, *};

    #[test]
    fn every_weighted_name_is_a_field() {
        for (parent, field, _) in WEIGHTS {
            assert!(SCHEMA.type_field(parent, field).is_ok(), "{parent}.{field}");
        }
        assert!(SCHEMA.type_field("Query", "libraryChanges").is_ok());
    }
}
