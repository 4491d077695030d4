//! What each library holds, kept in the user's row, so that its limits are checked without counting.
//!
//! The counts are those of the version in `library_counted`; where that is not the row's version, they are counted
//! anew by the next write that changes them. So nothing is counted here, a row that another program has bumped heals
//! itself, and every column has a constant default, with which the table is not rewritten.

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
