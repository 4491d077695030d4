//! `topaz_device`: the devices of users, and what each reported last.
//!
//! `name` is what the device calls itself, `given_name` what the user calls it. `…_at` of a group of columns is the time
//! of the report that they come from, by the database's clock. `pending_since` is the time of the first report with the
//! same oldest pending change. `refused_at` is the time since which all requests of the device were refused, because its
//! token had ended; it counts if it is not before `seen_at`. `issued_at` is the time of issue of its last token.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_device (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  device_id text NOT NULL,
  name text,
  given_name text,
  platform text,
  client text,
  created_at bigint NOT NULL,
  seen_at bigint NOT NULL,
  applied_epoch bigint,
  applied_version integer,
  applied_at bigint NOT NULL DEFAULT 0,
  pending integer NOT NULL DEFAULT 0,
  pending_oldest_at bigint,
  pending_error text,
  pending_at bigint NOT NULL DEFAULT 0,
  pending_since bigint NOT NULL DEFAULT 0,
  clock_ahead bigint,
  refused_at bigint NOT NULL DEFAULT 0,
  issued_at bigint,
  endpoint_gone_at bigint NOT NULL DEFAULT 0,
  streams_ended_at bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, device_id)
);
CREATE INDEX topaz_device_seen_at ON topaz_device (seen_at);
",
    down: r"
DROP TABLE topaz_device;
",
}
