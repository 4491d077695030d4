//! Deltas: the changes since a version, in pages.

pub(in crate::library) mod change;
mod changed_kinds;
pub(in crate::library) mod changes;
pub(in crate::library) mod page;
pub(in crate::library) mod source;
