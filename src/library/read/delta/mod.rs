//! Deltas: the changes since a version, in pages.

pub(in crate::library) mod change;
pub(in crate::library) mod changes;
mod first_statement;
pub(in crate::library) mod page;
mod related;
pub(in crate::library) mod source;
#[cfg(test)]
mod tests;
mod unchanged;
