//! Who may read and write what: tokens, tickets, and the isolation of users.

pub mod authjs;
pub mod isolation;
pub mod keys;
pub mod security;
pub mod tickets;
