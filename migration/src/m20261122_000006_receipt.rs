//! `topaz_receipt`: the stored results of mutations with an idempotency key.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_receipt (
  user_id text NOT NULL REFERENCES topaz_user (subject) ON UPDATE CASCADE ON DELETE CASCADE,
  idempotency_key text NOT NULL,
  fingerprint text NOT NULL,
  answer text NOT NULL,
  version integer NOT NULL,
  epoch bigint NOT NULL,
  created_at bigint NOT NULL,
  PRIMARY KEY (user_id, idempotency_key)
);
CREATE INDEX topaz_receipt_created_at ON topaz_receipt (created_at);
",
    down: r"
DROP TABLE topaz_receipt;
",
}
