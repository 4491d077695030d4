//! `topaz_ticket`: the tickets that wait to be redeemed, on whatever node.
//!
//! A ticket itself is not kept, only its SHA-256. Rows live for seconds and are no library rows: they refer to nobody,
//! since a stream opened for a user that has gone is refused anyway.

super::plain_sql! {
    up: r"
CREATE TABLE topaz_ticket (
  digest text NOT NULL PRIMARY KEY,
  user_id text NOT NULL,
  expires_at bigint NOT NULL,
  lapses_at bigint NOT NULL
);
CREATE INDEX topaz_ticket_user_id ON topaz_ticket (user_id);
CREATE INDEX topaz_ticket_lapses_at ON topaz_ticket (lapses_at);
",
    down: r"
DROP TABLE topaz_ticket;
",
}
