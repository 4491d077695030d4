//! `traceparent` of a write: the position of its commit in the trace of its request, so that an event can name it. Null if
//! the request was not traced.

super::plain_sql! {
    up: "ALTER TABLE topaz_write ADD COLUMN traceparent text",
    down: "ALTER TABLE topaz_write DROP COLUMN traceparent",
}
