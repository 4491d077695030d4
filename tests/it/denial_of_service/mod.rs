//! Clients that ask too much, too often, too slowly or too oddly, and the service of the others.

pub mod connections;
pub mod fairness;
pub mod flood;
pub mod limits;
pub mod odd_requests;
pub mod slow_readers;
