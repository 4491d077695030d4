//! GraphQL types of the API: thin wrappers over the types of `library`, one noun per file.
//!
//! Stored rows are not exposed directly. Each field is declared here, so a new column does not become a new field.

mod changes;
mod date_time;
mod deletion;
mod device;
mod erasure;
mod event;
mod export;
mod filter;
mod head;
mod history;
pub(in crate::graphql) mod id;
mod import;
mod input;
mod json;
mod label;
mod library;
mod list;
mod node;
mod opened;
mod page;
mod past;
mod payload;
mod progress;
mod push_endpoint;
mod restored;
mod sign_out;
mod story;
mod ticket;
mod viewer;

pub(super) use self::{
    changes::{LibraryChanges, LibraryKind, decode as delta_cursor},
    deletion::{DeleteFandomPayload, DeleteProgressPayload, DeleteTagPayload},
    device::{ForgetDeviceInput, ForgetDevicePayload, RenameDeviceInput, RenameDevicePayload},
    erasure::{
        EraseAccountInput, EraseAccountPayload, RequestAccountErasureInput,
        RequestAccountErasurePayload,
    },
    event::{LibraryEvent, LibraryEventKind},
    export::{ExportLibraryInput, ExportLibraryPayload},
    filter::{ProgressFilter, ProgressOrder},
    head::Head,
    history::HistoryPage,
    import::ImportLibraryPayload,
    input::{
        CreateLabelInput, CreateStoryWithProgressInput, DeleteLabelInput, DeleteProgressInput,
        ImportLibraryInput, RenameLabelInput, UpdateProgressInput, UpdateStoryWithRelationsInput,
    },
    label::{Fandom, Tag},
    library::Library,
    list::List,
    node::Node,
    opened::{OpenedInput, OpenedPayload},
    page::{Page, ProgressConnection, page_size},
    past::PastLibrary,
    payload::{
        CreateFandomPayload, CreateStoryWithProgressPayload, CreateTagPayload, RenameFandomPayload,
        RenameTagPayload, UpdateProgressPayload, UpdateStoryWithRelationsPayload,
    },
    progress::Progress,
    push_endpoint::{
        RegisterPushEndpointInput, RegisterPushEndpointPayload, SendTestPushInput,
        SendTestPushPayload, UnregisterPushEndpointInput, UnregisterPushEndpointPayload,
    },
    restored::{RestoreLibraryInput, RestoreLibraryPayload, UndoInput, UndoPayload},
    sign_out::{
        EndStreamsInput, EndStreamsPayload, SignOutEverywhereInput, SignOutEverywherePayload,
    },
    story::Story,
    ticket::{CreateStreamTicketInput, CreateStreamTicketPayload},
    viewer::Viewer,
};
