//! The library as of an earlier version: present rows without their later changes, and rows that were removed since.
//!
//! In the flow: queries read pages of it, and `undo` and `restoreLibrary` write it back.

pub(in crate::library) mod as_of;
pub(in crate::library) mod history;
pub(in crate::library) mod library_at;
mod life;
pub(in crate::library) mod lost_labels;
pub(in crate::library) mod past_row;
pub(in crate::library) mod touched;
