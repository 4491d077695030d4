//! What changed since a version, a page at a time.

pub(in crate::library) mod change;
pub(in crate::library) mod changes;
pub(in crate::library) mod page;
pub(in crate::library) mod source;
