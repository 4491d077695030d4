//! `topaz_field_change`: the value of a field before the version that changed it.
//!
//! For a change based on an older version, these rows give the fields that have changed since and their old values. Two
//! devices that change different fields of one row therefore do not conflict.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_field_change (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  kind text NOT NULL,
  id uuid NOT NULL,
  stamp integer NOT NULL,
  field text NOT NULL,
  was text NOT NULL,
  changed_at bigint NOT NULL,
  PRIMARY KEY (user_id, kind, id, stamp, field)
);
CREATE INDEX topaz_field_change_changed_at ON topaz_field_change (changed_at);
",
    down: r"
DROP TABLE topaz_field_change;
",
}
