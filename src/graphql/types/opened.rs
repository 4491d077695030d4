//! Reports of use.

use async_graphql::{ID, InputObject, SimpleObject};

use super::{Head, Library, id::progress_id, input::DeviceInput, payload::Refusal};
use crate::{graphql::context::Caller, library::Error};

/// An entry that the reader opened.
#[derive(InputObject)]
pub(in crate::graphql) struct OpenedInput {
    /// UUID of its progress.
    progress_id: ID,
    /// Device on which it was opened. Null means that it is not named.
    device: Option<DeviceInput>,
}

/// Result of `opened`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct OpenedPayload {
    /// Version of the library, which a use does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Reason why the use was not counted. Null means that it counts, at most once a minute for each entry.
    refusal: Option<Refusal>,
}

impl OpenedInput {
    /// Records the use.
    ///
    /// # Errors
    /// [`Error::Invalid`] when an id is not valid.
    pub async fn record(self, caller: &Caller) -> Result<OpenedPayload, Error> {
        let id = progress_id("progressId", &self.progress_id)?;
        let device = self.device.map(DeviceInput::read).transpose()?;
        let (library, user, head) = (&caller.library, &caller.viewer.user, caller.head()?);
        if let Some(device) = &device {
            library.note_device(user, device);
        }
        let found = library.find_progress(user, id).await?;
        if found.is_some() {
            library.opened(user, id);
        }
        let missing = || Refusal::not_found("progressId", "the library has no such progress");
        Ok(OpenedPayload {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            refusal: found.is_none().then(missing),
        })
    }
}
