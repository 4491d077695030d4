//! `topaz_write`: which kinds of rows each version changed, and the device. One row per version.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_write (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  epoch bigint NOT NULL,
  version integer NOT NULL,
  kinds text NOT NULL,
  device_id text,
  device_name text,
  written_at bigint NOT NULL,
  PRIMARY KEY (user_id, epoch, version)
);
CREATE INDEX topaz_write_written_at ON topaz_write (written_at);
",
    down: r"
DROP TABLE topaz_write;
",
}
