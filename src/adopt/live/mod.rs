//! Runs the older app and library-sync on one database: the older app writes, and a follower copies its changes.
//!
//! ```text
//! older app ─ topaz_before.* ─ triggers ─ topaz_before.adoption_change ─ follower ─ library.write ─ devices
//! ```
//!
//! A row of `adoption_change` is a hint that something about a story or a label of a user has changed, not the change
//! itself. The follower reads the present rows, compares them with the copy, and writes the difference.
//!
//! **Invariant:** a hint is deleted only after the copy equals what was committed with it. So a follower that is killed
//! repeats a step, and a repeated step changes nothing.
//! **Invariant:** the follower reads the older rows after it has locked the user's row, so a step never overwrites a later
//! one, even of another follower.

mod capture;
mod comparison;
mod cut_over;
mod follower;
mod older_entry;

pub(super) use self::{
    capture::{begin as begin_capture, end as end_capture},
    follower::LOCK as FOLLOWER_LOCK,
};
pub use self::{
    cut_over::{CutOver, cut_over},
    follower::follow,
};
