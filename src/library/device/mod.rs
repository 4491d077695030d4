//! The devices of users: what each reported, its open streams, and why it is not up to date.
//!
//! In the flow: `http` reports devices and streams to the [`DeviceLog`](log::DeviceLog), a background task stores them in
//! batches, and `graphql` reads them with a verdict. So no request waits for a statement.
//!
//! **Invariant:** nothing here moves the version of a library.
//! **Invariant:** a node stores a device at most once per [`DeviceSettings`](settings::DeviceSettings) interval, and an
//! open stream that does nothing costs no statement.

pub(super) mod changes;
pub(super) mod log;
pub(super) mod nodes;
pub(super) mod report;
pub(super) mod rows;
pub(super) mod settings;
pub(super) mod store;
pub(super) mod stream_ender;
pub(super) mod stream_ends;
pub(super) mod verdict;
pub(super) mod viewed;
