//! Reads of a library: heads, lists, single rows, their query plans, and replicas.

pub mod heads;
pub mod label_plans;
pub mod lists;
pub mod queries;
pub mod query_plans;
pub mod replica;
pub mod unanalyzed;
pub mod warming;
