//! `topaz_tombstone.held`: the removed row as JSON, so that a removal can be undone while its tombstone is kept.
//!
//! Null where the row was removed by a version that did not keep it.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_tombstone ADD COLUMN held text;
",
    down: r"
ALTER TABLE topaz_tombstone DROP COLUMN held;
",
}
