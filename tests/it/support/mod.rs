//! Shared by the tests: real servers, a client of each transport, load, and the code blocks of the documents.

pub mod certificate;
pub mod deadline;
pub mod nginx;
pub mod printed;
pub mod programs;
pub mod servers;
pub mod socket;
pub mod statements;
pub mod test_app;
pub mod transport;
pub mod workload;
