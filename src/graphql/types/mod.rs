//! The API's types: thin wrappers over `library`'s, one noun a file.
//!
//! A row is never shown as it is stored: what the API says is written here, and a new column is not a new field.

mod changes;
mod event;
mod filter;
mod head;
mod import;
mod input;
mod label;
mod library;
mod page;
mod payload;
mod progress;
mod story;
mod ticket;
mod viewer;

use async_graphql::ID;
use uuid::Uuid;

use self::payload::Refusal;
pub(super) use self::{
    changes::{LibraryChanges, decode as delta_cursor},
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
    page::{Page, ProgressCursor, ProgressList},
    payload::{
        CreateFandomPayload, CreateStoryWithProgressPayload, CreateTagPayload, DeleteFandomPayload,
        DeleteProgressPayload, DeleteTagPayload, RenameFandomPayload, RenameTagPayload,
        UpdateProgressPayload, UpdateStoryWithRelationsPayload,
    },
    progress::Progress,
    story::Story,
    ticket::{CreateStreamTicketInput, CreateStreamTicketPayload},
    viewer::Viewer,
};
use crate::library::{Error, LabelId, ProgressId, StoryId};

/// Reads an id of the API: a UUID in its usual form, and not the nil one.
fn uuid(field: &'static str, id: &ID) -> Result<Uuid, Error> {
    match Uuid::try_parse(id) {
        Ok(uuid) if !uuid.is_nil() => Ok(uuid),
        _ => Err(Error::Invalid {
            field,
            message: "must be a UUID".to_owned(),
        }),
    }
}

pub(super) fn story_id(field: &'static str, id: &ID) -> Result<StoryId, Error> {
    uuid(field, id).map(StoryId)
}

pub(super) fn progress_id(field: &'static str, id: &ID) -> Result<ProgressId, Error> {
    uuid(field, id).map(ProgressId)
}

fn label_id(field: &'static str, id: &ID) -> Result<LabelId, Error> {
    uuid(field, id).map(LabelId)
}
