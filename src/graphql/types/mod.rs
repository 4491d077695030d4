//! GraphQL types of the API: thin wrappers over the types of `library`, one noun per file.
//!
//! Stored rows are not exposed directly. Each field is declared here, so a new column does not become a new field.

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
mod push_endpoint;
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
    push_endpoint::{
        RegisterPushEndpointInput, RegisterPushEndpointPayload, SendTestPushInput,
        SendTestPushPayload, UnregisterPushEndpointInput, UnregisterPushEndpointPayload,
    },
    story::Story,
    ticket::{CreateStreamTicketInput, CreateStreamTicketPayload},
    viewer::Viewer,
};
