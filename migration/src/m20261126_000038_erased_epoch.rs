//! `topaz_user.library_erased`: the epoch that the last erasure of the account began.
//!
//! A device that reports a head of an earlier epoch has a copy of what was erased. 0 means that nothing was erased.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_user ADD COLUMN library_erased bigint NOT NULL DEFAULT 0;
",
    down: r"
ALTER TABLE topaz_user DROP COLUMN library_erased;
",
}
