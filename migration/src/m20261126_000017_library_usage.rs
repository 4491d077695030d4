//! The size of each library, stored in the user's row, so that limits are checked without counting.
//!
//! The counts belong to the version in `library_counted`. If it differs from the row's version, the next write that
//! changes the counts recalculates them. Therefore this migration counts nothing, and a row that another program
//! changed is corrected automatically. Every column has a constant default, so the table is not rewritten.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_user ADD COLUMN library_counted integer NOT NULL DEFAULT 0;
ALTER TABLE topaz_user ADD COLUMN library_stories bigint NOT NULL DEFAULT 0;
ALTER TABLE topaz_user ADD COLUMN library_tags bigint NOT NULL DEFAULT 0;
ALTER TABLE topaz_user ADD COLUMN library_fandoms bigint NOT NULL DEFAULT 0;
ALTER TABLE topaz_user ADD COLUMN library_bytes bigint NOT NULL DEFAULT 0;
",
    down: r"
ALTER TABLE topaz_user DROP COLUMN library_bytes;
ALTER TABLE topaz_user DROP COLUMN library_fandoms;
ALTER TABLE topaz_user DROP COLUMN library_tags;
ALTER TABLE topaz_user DROP COLUMN library_stories;
ALTER TABLE topaz_user DROP COLUMN library_counted;
",
}
