//! `topaz_tombstone`: deleted rows and the version of their deletion.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_tombstone (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  kind text NOT NULL,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  removed_at bigint NOT NULL,
  PRIMARY KEY (user_id, kind, id)
);
CREATE INDEX topaz_tombstone_stamp ON topaz_tombstone (user_id, stamp, id);
CREATE INDEX topaz_tombstone_removed_at ON topaz_tombstone (removed_at);
",
    down: r"
DROP TABLE topaz_tombstone;
",
}
