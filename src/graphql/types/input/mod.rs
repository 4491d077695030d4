//! Inputs of mutations, one input object each.

mod import;
mod intent;
mod label;
mod progress;
mod story;

pub(in crate::graphql) use self::{
    import::ImportLibraryInput,
    intent::{DeviceInput, IntentInput, OnConflict},
    label::{CreateLabelInput, DeleteLabelInput, RenameLabelInput},
    progress::{DeleteProgressInput, UpdateProgressInput},
    story::{CreateStoryWithProgressInput, UpdateStoryWithRelationsInput},
};
