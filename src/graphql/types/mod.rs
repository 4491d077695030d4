//! The API's types: thin wrappers over `library`'s, one noun a file.
//!
//! A row is never shown as it is stored: what the API says is written here, and a new column is not a new field.

mod changes;
mod date_time;
mod deletion;
mod event;
mod filter;
mod head;
pub(in crate::graphql) mod id;
mod import;
mod input;
mod json;
mod label;
mod library;
mod node;
mod page;
mod payload;
mod progress;
mod story;
mod ticket;
mod viewer;

pub(super) use self::{
    changes::{LibraryChanges, decode as delta_cursor},
    deletion::{DeleteFandomPayload, DeleteProgressPayload, DeleteTagPayload},
    event::{LibraryEvent, LibraryEventKind},
    filter::{ProgressFilter, ProgressOrder},
    head::Head,
    import::ImportLibraryPayload,
    input::{
        CreateLabelInput, CreateStoryWithProgressInput, DeleteLabelInput, DeleteProgressInput,
        ImportLibraryInput, RenameLabelInput, UpdateProgressInput, UpdateStoryWithRelationsInput,
    },
    label::{Fandom, Tag},
    library::Library,
    node::Node,
    page::{Page, ProgressConnection},
    payload::{
        CreateFandomPayload, CreateStoryWithProgressPayload, CreateTagPayload, RenameFandomPayload,
        RenameTagPayload, UpdateProgressPayload, UpdateStoryWithRelationsPayload,
    },
    progress::Progress,
    story::Story,
    ticket::{CreateStreamTicketInput, CreateStreamTicketPayload},
    viewer::Viewer,
};
