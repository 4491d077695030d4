//! How much the receipts of a user come to: each has the total of its own size and of all before it.
//!
//! The difference of two totals is what the receipts between them take, so the oldest that are over a limit are found
//! by index and without adding anything up.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_receipt ADD COLUMN total bigint NOT NULL DEFAULT 0;
CREATE INDEX topaz_receipt_total ON topaz_receipt (user_id, total);
",
    down: r"
DROP INDEX topaz_receipt_total;
ALTER TABLE topaz_receipt DROP COLUMN total;
",
}
