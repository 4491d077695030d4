//! The list of progresses: filters, orders and keyset pagination.

pub(in crate::library) mod filter;
pub(in crate::library) mod label_filter;
pub(in crate::library) mod order;
pub(in crate::library) mod page;
