//! Denial of service: floods, slow clients, expensive and malformed requests, and the service for other clients.

pub mod connections;
pub mod fairness;
pub mod flood;
pub mod limits;
pub mod odd_requests;
pub mod slow_readers;
