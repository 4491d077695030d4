//! `topaz_push_endpoint`: the Web Push endpoints of devices, and the newest head that each is known to have.
//!
//! `known_…` is the newest head that the device reported, made itself, or was sent. `due_at` is the time of the next
//! message, and null if there is none to send. `claimed_until` and `live_until` are leases: of the node that sends, and of
//! the nodes on which the device has an open stream.
//!
//! `digest` is the SHA-256 of the address, because addresses can exceed the size of an index entry.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_push_endpoint (
  id uuid NOT NULL PRIMARY KEY,
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  device_id text NOT NULL,
  digest text NOT NULL,
  address text NOT NULL,
  p256dh text NOT NULL,
  auth text NOT NULL,
  vendor text NOT NULL,
  pace text NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  known_epoch bigint NOT NULL,
  known_version integer NOT NULL,
  reported_at bigint NOT NULL DEFAULT 0,
  live_until bigint NOT NULL DEFAULT 0,
  due_at bigint,
  claim bigint NOT NULL DEFAULT 0,
  claimed_until bigint NOT NULL DEFAULT 0,
  sent_at bigint NOT NULL DEFAULT 0,
  tested_at bigint NOT NULL DEFAULT 0,
  failures integer NOT NULL DEFAULT 0,
  failing_since bigint
);
CREATE UNIQUE INDEX topaz_push_endpoint_digest ON topaz_push_endpoint (digest);
CREATE UNIQUE INDEX topaz_push_endpoint_device ON topaz_push_endpoint (user_id, device_id);
CREATE INDEX topaz_push_endpoint_created_at ON topaz_push_endpoint (created_at);
CREATE INDEX topaz_push_endpoint_due_at ON topaz_push_endpoint (due_at) WHERE due_at IS NOT NULL;
",
    down: r"
DROP TABLE topaz_push_endpoint;
",
}
