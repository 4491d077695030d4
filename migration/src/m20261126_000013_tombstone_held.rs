//! `topaz_tombstone.held`: the deleted row as JSON, so that a deletion can be undone while its tombstone exists.
//!
//! Null if an older release deleted the row.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_tombstone ADD COLUMN held text;
",
    down: r"
ALTER TABLE topaz_tombstone DROP COLUMN held;
",
}
