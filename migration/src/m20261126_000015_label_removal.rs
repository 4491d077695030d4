//! `topaz_label_removal`: the stories that had a label when it was deleted.
//!
//! One row per label, regardless of the number of stories. `carriers` holds their ids, each as 32 hexadecimal digits,
//! separated by spaces. For a change based on an older version, it gives the labels that a story has lost since.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_label_removal (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  stamp integer NOT NULL,
  kind text NOT NULL,
  id uuid NOT NULL,
  carriers text NOT NULL,
  removed_at bigint NOT NULL,
  PRIMARY KEY (user_id, stamp, kind, id)
);
CREATE INDEX topaz_label_removal_removed_at ON topaz_label_removal (removed_at);
",
    down: r"
DROP TABLE topaz_label_removal;
",
}
