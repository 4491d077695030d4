//! The Web Push endpoints of devices and the webhook of the server: what each is known to have, and what is due.
//!
//! In the flow: `graphql` registers endpoints, `http` reports devices, and `push` claims what is due and records outcomes.
//!
//! **Invariant:** an endpoint is due if and only if its user's head is greater than the head that it is known to have.
//! **Invariant:** nothing here moves the version of a library.

pub(super) mod claim;
pub(super) mod device_activity;
pub(super) mod device_store;
pub(super) mod due;
pub(super) mod outcome;
pub(super) mod registration;
pub(super) mod sql;
pub(super) mod summary;
pub(super) mod webhook;
