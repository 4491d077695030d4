//! `topaz_webhook`: the newest head of each user that the webhook's receiver has accepted.
//!
//! The columns have the meaning of those of `topaz_push_endpoint`. A user without a row has not changed since the webhook
//! was switched on.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_webhook (
  user_id text NOT NULL PRIMARY KEY REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  known_epoch bigint NOT NULL,
  known_version integer NOT NULL,
  due_at bigint,
  claim bigint NOT NULL DEFAULT 0,
  claimed_until bigint NOT NULL DEFAULT 0,
  failures integer NOT NULL DEFAULT 0
);
CREATE INDEX topaz_webhook_due_at ON topaz_webhook (due_at) WHERE due_at IS NOT NULL;
",
    down: r"
DROP TABLE topaz_webhook;
",
}
