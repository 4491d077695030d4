//! `topaz_field_change`: what a field held before the version that changed it.
//!
//! From these rows follows, for a change made against an older version, which fields have changed since and what
//! they held then, so that two devices that change different fields of one row do not conflict.

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
