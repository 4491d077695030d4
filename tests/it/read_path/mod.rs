//! Reads of a library: lists, single rows, their query plans, and replicas.

pub mod lists;
pub mod queries;
pub mod query_plans;
pub mod replica;
