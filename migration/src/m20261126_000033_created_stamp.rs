//! `created_stamp`: the version that created a row, so that the library can be read as of an earlier version.
//!
//! 0 means unknown: an older release created the row. Its time of creation then decides.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_story ADD COLUMN created_stamp integer NOT NULL DEFAULT 0;
ALTER TABLE topaz_progress ADD COLUMN created_stamp integer NOT NULL DEFAULT 0;
ALTER TABLE topaz_tag ADD COLUMN created_stamp integer NOT NULL DEFAULT 0;
ALTER TABLE topaz_fandom ADD COLUMN created_stamp integer NOT NULL DEFAULT 0;
ALTER TABLE topaz_tombstone ADD COLUMN created_stamp integer NOT NULL DEFAULT 0;
",
    down: r"
ALTER TABLE topaz_story DROP COLUMN created_stamp;
ALTER TABLE topaz_progress DROP COLUMN created_stamp;
ALTER TABLE topaz_tag DROP COLUMN created_stamp;
ALTER TABLE topaz_fandom DROP COLUMN created_stamp;
ALTER TABLE topaz_tombstone DROP COLUMN created_stamp;
",
}
