//! `topaz_ticket`: unused tickets, which any node can redeem.
//!
//! The table stores the SHA-256 of a ticket, not the ticket. Rows live for seconds and are not library rows. They have
//! no foreign key to the user, because a stream of a deleted user is refused anyway.

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
