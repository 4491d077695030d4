//! All routes except `/graphql`.

pub(super) mod admin;
pub(super) mod connection_report;
pub(super) mod health;
pub(super) mod library_export;
pub(super) mod library_version;
pub(super) mod playground;
pub(super) mod static_files;
pub(super) mod trpc;
pub(super) mod version_events;
