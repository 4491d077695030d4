//! Ids of the API: UUIDs in their standard text form.

use async_graphql::ID;
use uuid::Uuid;

use crate::library::{Error, LabelId, ProgressId, StoryId};

/// Reads an id of the API: a UUID in its usual form, and not the nil one.
pub(super) fn uuid(field: &'static str, id: &ID) -> Result<Uuid, Error> {
    match Uuid::try_parse(id) {
        Ok(uuid) if !uuid.is_nil() => Ok(uuid),
        _ => Err(Error::Invalid {
            field,
            message: "must be a UUID".to_owned(),
        }),
    }
}

pub(in crate::graphql) fn story_id(field: &'static str, id: &ID) -> Result<StoryId, Error> {
    uuid(field, id).map(StoryId)
}

pub(in crate::graphql) fn progress_id(field: &'static str, id: &ID) -> Result<ProgressId, Error> {
    uuid(field, id).map(ProgressId)
}

pub(in crate::graphql) fn label_id(field: &'static str, id: &ID) -> Result<LabelId, Error> {
    uuid(field, id).map(LabelId)
}
