//! `topaz_undone_removal`: the tombstones of rows that were created again under the same id.
//!
//! A row has at most one tombstone, which a new row of the same id replaces. The library as of an earlier version needs
//! the removed row, so it is moved to this table.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_undone_removal (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  kind text NOT NULL,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  removed_at bigint NOT NULL,
  held text,
  created_stamp integer NOT NULL,
  PRIMARY KEY (user_id, kind, id, stamp)
);
CREATE INDEX topaz_undone_removal_stamp ON topaz_undone_removal (user_id, stamp);
CREATE INDEX topaz_undone_removal_removed_at ON topaz_undone_removal (removed_at);
",
    down: r"
DROP TABLE topaz_undone_removal;
",
}
