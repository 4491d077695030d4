//! `topaz_write.total`: the bytes of history that the user's writes have left so far, this one included.
//!
//! The difference of two totals is the history that the writes between them left. So the size of a user's history
//! follows from the newest and the oldest row, and nothing is added up. Writes from before this change count 0.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_write ADD COLUMN total bigint NOT NULL DEFAULT 0;
",
    down: r"
ALTER TABLE topaz_write DROP COLUMN total;
",
}
