//! The content of a library and the rules of its values, independent of the database.

pub(super) mod device;
mod device_input;
pub(super) mod endpoint;
pub(super) mod entry_line;
pub(super) mod id;
pub(super) mod kind;
pub(super) mod label;
pub(super) mod limits;
pub(super) mod patch;
pub(super) mod progress;
pub(super) mod source;
pub(super) mod story;
pub(super) mod story_url;
pub(super) mod text;
