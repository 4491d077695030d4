//! The tables of an archive, in the order in which their rows can be inserted, and their columns.

use self::Type::{
    BigInteger, Boolean, Id, Integer, OptionalInteger, OptionalText, SmallInteger, Text,
};

/// The type of a column, as JSON and in both databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Id,
    /// Text of at most this many characters.
    Text(usize),
    OptionalText(usize),
    Integer,
    OptionalInteger,
    SmallInteger,
    BigInteger,
    Boolean,
}

/// A column of an archive.
pub(super) type Column = (&'static str, Type);

/// A column that is computed from the others of its row, so an archive does not contain it.
pub(super) const DERIVED: Type = Type::Text(usize::MAX);

/// A table of an archive.
#[derive(Debug)]
pub(super) struct Table {
    /// The name of its rows in an archive.
    pub kind: &'static str,
    pub name: &'static str,
    pub columns: &'static [Column],
    /// Columns that are computed at an import.
    pub derived: &'static [&'static str],
    /// The columns that order its rows, after the user.
    pub key: &'static [&'static str],
}

/// Lengths of enumerated names, of the names and ids of devices, of texts, and of JSON and lists of ids.
const NAME: usize = 100;
const PROSE: usize = 10_000;
const ADDRESS: usize = 4_096;
const JSON: usize = 1_000_000;

const LABEL: &[Column] = &[
    ("id", Id),
    ("stamp", Integer),
    ("created_stamp", Integer),
    ("name", Text(NAME)),
    ("name_key", Text(3 * NAME)),
    ("created_at", BigInteger),
    ("updated_at", BigInteger),
];

const REMOVAL: &[Column] = &[
    ("kind", Text(NAME)),
    ("id", Id),
    ("stamp", Integer),
    ("removed_at", BigInteger),
    ("held", OptionalText(JSON)),
    ("created_stamp", Integer),
];

/// Rows reference only rows of earlier tables.
pub(super) const TABLES: [Table; 12] = [
    Table {
        kind: "tag",
        name: "topaz_tag",
        columns: LABEL,
        derived: &[],
        key: &["id"],
    },
    Table {
        kind: "fandom",
        name: "topaz_fandom",
        columns: LABEL,
        derived: &[],
        key: &["id"],
    },
    Table {
        kind: "story",
        name: "topaz_story",
        columns: &[
            ("id", Id),
            ("stamp", Integer),
            ("created_stamp", Integer),
            ("title", Text(500)),
            ("author", Text(200)),
            ("url", Text(ADDRESS)),
            ("url_typed", OptionalText(ADDRESS)),
            ("source", Text(NAME)),
            ("status", Text(NAME)),
            ("description", OptionalText(PROSE)),
            ("summary", OptionalText(PROSE)),
            ("chapter_count", OptionalInteger),
            ("word_count", OptionalInteger),
            ("is_nsfw", Boolean),
            ("created_at", BigInteger),
            ("updated_at", BigInteger),
        ],
        derived: &["title_key", "author_key", "search_key"],
        key: &["id"],
    },
    Table {
        kind: "progress",
        name: "topaz_progress",
        columns: &[
            ("id", Id),
            ("stamp", Integer),
            ("created_stamp", Integer),
            ("story_id", Id),
            ("status", Text(NAME)),
            ("current_chapter", Integer),
            ("rating", SmallInteger),
            ("notes", OptionalText(PROSE)),
            ("created_at", BigInteger),
            ("updated_at", BigInteger),
        ],
        derived: &["search_key"],
        key: &["id"],
    },
    Table {
        kind: "usage",
        name: "topaz_usage",
        columns: &[
            ("progress_id", Id),
            ("score", BigInteger),
            ("used_at", BigInteger),
        ],
        derived: &[],
        key: &["progress_id"],
    },
    Table {
        kind: "story_tag",
        name: "topaz_story_tag",
        columns: &[("story_id", Id), ("tag_id", Id)],
        derived: &[],
        key: &["story_id", "tag_id"],
    },
    Table {
        kind: "story_fandom",
        name: "topaz_story_fandom",
        columns: &[("story_id", Id), ("fandom_id", Id)],
        derived: &[],
        key: &["story_id", "fandom_id"],
    },
    Table {
        kind: "tombstone",
        name: "topaz_tombstone",
        columns: REMOVAL,
        derived: &[],
        key: &["kind", "id"],
    },
    Table {
        kind: "undone_removal",
        name: "topaz_undone_removal",
        columns: REMOVAL,
        derived: &[],
        key: &["kind", "id", "stamp"],
    },
    Table {
        kind: "label_removal",
        name: "topaz_label_removal",
        columns: &[
            ("stamp", Integer),
            ("kind", Text(NAME)),
            ("id", Id),
            ("first_story", Id),
            ("last_story", Id),
            ("removed_at", BigInteger),
            ("carriers", Text(JSON)),
        ],
        derived: &[],
        key: &["stamp", "kind", "id", "first_story"],
    },
    Table {
        kind: "write",
        name: "topaz_write",
        columns: &[
            ("epoch", BigInteger),
            ("version", Integer),
            ("kinds", Text(NAME)),
            ("device_id", OptionalText(NAME)),
            ("device_name", OptionalText(NAME)),
            ("written_at", BigInteger),
            ("total", BigInteger),
        ],
        derived: &[],
        key: &["epoch", "version"],
    },
    Table {
        kind: "field_change",
        name: "topaz_field_change",
        columns: &[
            ("kind", Text(NAME)),
            ("id", Id),
            ("stamp", Integer),
            ("field", Text(NAME)),
            ("was", Text(JSON)),
            ("changed_at", BigInteger),
            ("other_stamp", Integer),
        ],
        derived: &[],
        key: &["stamp", "kind", "id", "field"],
    },
];

impl Table {
    /// The type of a column.
    pub fn type_of(&self, column: &str) -> Type {
        let found = self.columns.iter().find(|(name, _)| *name == column);
        found.map_or(DERIVED, |(_, of)| *of)
    }

    /// All columns but the user, with those that are computed.
    pub fn all_columns(&self) -> impl Iterator<Item = Column> {
        let derived = self.derived.iter().map(|name| (*name, DERIVED));
        self.columns.iter().copied().chain(derived)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::library::database::schema_check::NEEDED;

    /// Columns that an archive leaves out: the trace of a request is stored where the exporting server sends its spans, and
    /// says nothing elsewhere.
    const LEFT_OUT: [(&str, &str); 1] = [("topaz_write", "traceparent")];

    #[test]
    fn an_archive_has_every_column_of_its_tables_but_those_that_are_left_out() {
        for table in &TABLES {
            let (_, needed) = NEEDED.iter().find(|(name, _)| *name == table.name).unwrap();
            let left_out = |column: &&str| LEFT_OUT.contains(&(table.name, *column));
            let expected = needed.split_whitespace().filter(|name| *name != "user_id");
            let expected: BTreeSet<_> = expected.filter(|name| !left_out(name)).collect();
            let found: BTreeSet<_> = table.all_columns().map(|(name, _)| name).collect();
            assert_eq!(found, expected, "{}", table.name);
        }
    }
}
