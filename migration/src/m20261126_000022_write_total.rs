//! `topaz_write.total`: the cumulative bytes of a user's history, up to and including this write.
//!
//! The difference of two totals is the size of the history between them. The newest and the oldest row give the size of
//! a user's history, without a sum. Older writes have the total 0.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_write ADD COLUMN total bigint NOT NULL DEFAULT 0;
",
    down: r"
ALTER TABLE topaz_write DROP COLUMN total;
",
}
