//! What the tests stand on: real servers, clients of each transport, and readers of the documents.

pub mod crowd;
pub mod printed;
pub mod programs;
pub mod servers;
pub mod socket;
pub mod test_app;
pub mod transport;
