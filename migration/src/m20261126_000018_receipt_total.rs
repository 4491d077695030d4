//! `topaz_receipt.total`: the cumulative size of a user's receipts, up to and including this one.
//!
//! The difference of two totals is the size of the receipts between them. The oldest receipts above a limit are
//! therefore found by index, without a sum.

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
