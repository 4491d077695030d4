//! `topaz_node` and `topaz_stream`: the running nodes, and the open streams of devices on each.
//!
//! A node renews `live_until`. Its streams count only until then, so those of a node that crashed disappear by themselves,
//! and an open stream costs no statement.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_node (
  id uuid NOT NULL PRIMARY KEY,
  name text NOT NULL,
  started_at bigint NOT NULL,
  live_until bigint NOT NULL
);
CREATE TABLE topaz_stream (
  node_id uuid NOT NULL REFERENCES topaz_node (id) ON DELETE CASCADE,
  number bigint NOT NULL,
  user_id text NOT NULL,
  device_id text NOT NULL,
  transport text NOT NULL,
  opened_at bigint NOT NULL,
  PRIMARY KEY (node_id, number),
  FOREIGN KEY (user_id, device_id) REFERENCES topaz_device (user_id, device_id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX topaz_stream_device ON topaz_stream (user_id, device_id);
",
    down: r"
DROP TABLE topaz_stream;
DROP TABLE topaz_node;
",
}
