//! What a field costs to read, beyond the one field that it is in the answer.
//!
//! A weight of 1 stands for as much work as one field of a row that has been read.

use async_graphql::Value;

use super::plan::Planned;

/// What a data loader reads for one place: a key among those of the whole answer.
const LOADED: u64 = 2;

/// What reads every row of a library: a count or an aggregate.
const WHOLE_LIBRARY: u64 = 1_000;

/// What looks for one word in every row of a library.
const WORD: u64 = 500;

/// What an element of a list of all labels costs to read, at least.
pub(super) const LABEL: u64 = 3;

/// What a change costs to read, at least: a story or a progress, with all of its texts, and as many of the other kind
/// that the page then has no room for.
const CHANGE: u64 = 20;

/// Fields that are read by themselves.
const WEIGHTS: [(&str, &str, u64); 16] = [
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
    ("Query", "node", LOADED),
    ("Query", "nodes", LOADED),
    ("DeleteProgressPayload", "changedTags", LOADED),
    ("DeleteProgressPayload", "changedFandoms", LOADED),
    ("DeleteTagPayload", "changedStories", LOADED),
    ("DeleteFandomPayload", "changedStories", LOADED),
];

/// What a field costs to read once.
pub(super) fn of(field: &Planned<'_>) -> u64 {
    let found = WEIGHTS
        .iter()
        .find(|(parent, name, _)| field.parent == *parent && field.field.name == *name);
    let reading = found.map_or(0, |(_, _, weight)| *weight);
    reading.saturating_add(WORD.saturating_mul(words(field)))
}

/// What an element of a page costs to read, at least.
pub(super) fn of_element(field: &Planned<'_>) -> u64 {
    if field.field.name == "libraryChanges" {
        CHANGE
    } else {
        1
    }
}

/// How many words its arguments search for.
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
    fn what_has_a_weight_is_a_field() {
        for (parent, field, _) in WEIGHTS {
            assert!(SCHEMA.type_field(parent, field).is_ok(), "{parent}.{field}");
        }
        assert!(SCHEMA.type_field("Query", "libraryChanges").is_ok());
    }
}
