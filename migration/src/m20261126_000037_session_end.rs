//! When a user signed out everywhere, and when the streams of a device were ended last.
//!
//! `signed_out_at` is read with each head: a credential that was issued before it is refused. `streams_ended_at` of a user
//! is the newest of the user's devices, so a node that reads heads learns that it has streams to end.

super::plain_sql! {
    up: r"
ALTER TABLE topaz_user ADD COLUMN signed_out_at bigint NOT NULL DEFAULT 0;
ALTER TABLE topaz_user ADD COLUMN streams_ended_at bigint NOT NULL DEFAULT 0;
ALTER TABLE topaz_ticket ADD COLUMN issued_at bigint;
",
    down: r"
ALTER TABLE topaz_ticket DROP COLUMN issued_at;
ALTER TABLE topaz_user DROP COLUMN streams_ended_at;
ALTER TABLE topaz_user DROP COLUMN signed_out_at;
",
}
