//! Common fields of mutation inputs: the device, the idempotency key and the base version.

use std::collections::BTreeSet;

use async_graphql::{Enum, ID, InputObject, MaybeUndefined};
use serde::Serialize;

use crate::{
    graphql::types::{head::Head, id::label_id},
    library::{self, Against, Device, Error, IdempotencyKey, Intent, LabelId, Once},
};

/// What every mutation takes beside what it is about.
#[derive(InputObject)]
pub(in crate::graphql) struct IntentInput {
    /// Client-generated key of 1 to 64 characters, such as a UUID. Retrying with the same key returns the original
    /// result. Null means that a retry is a new mutation.
    idempotency_key: Option<String>,
    /// Device that makes the change, which is reported to other devices. A device does not conflict with itself: a change
    /// conflicts only with changes of other devices, and with those that name no device. Null means unknown.
    device: Option<DeviceInput>,
}

/// A device of the user: one installation of a client.
#[derive(InputObject)]
pub(in crate::graphql) struct DeviceInput {
    /// Client-generated id of 1 to 100 characters, which differs from those of the user's other devices.
    id: ID,
    /// Name of 1 to 100 characters that the user knows the device by. Null means none.
    name: Option<String>,
}

impl DeviceInput {
    /// The device.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the id or the name is invalid.
    pub fn read(self) -> Result<Device, Error> {
        Device::new(self.id.0, self.name)
    }
}

impl IntentInput {
    /// The intent of `mutation` with `input`.
    pub fn of(self, mutation: &str, input: &impl Serialize) -> Result<Intent, Error> {
        self.made_once(|key| Once::new(key, mutation, input))
    }

    /// The intent of `mutation` with an input in which null is a value.
    pub fn of_change(self, mutation: &str, input: &impl Serialize) -> Result<Intent, Error> {
        self.made_once(|key| Once::of_change(key, mutation, input))
    }

    fn made_once(
        self,
        once: impl FnOnce(IdempotencyKey) -> Result<Once, Error>,
    ) -> Result<Intent, Error> {
        let device = self.device.map(DeviceInput::read).transpose()?;
        let key = self.idempotency_key.map(IdempotencyKey::new).transpose()?;
        let once = key.map(once).transpose()?;
        Ok(Intent {
            device,
            once,
            ..Intent::default()
        })
    }
}

/// What an update takes to notice that the row has moved on.
#[derive(InputObject)]
pub(super) struct AgainstInput {
    /// Head that the client's copy of the row reflects. A field conflicts if another device changed it after that head
    /// and this mutation sets another value. With a head of another epoch, or above the current head, every field that
    /// is set to another value conflicts. Null means unknown, and then `onConflict` decides.
    base: Option<Head>,
    /// What to do about fields that conflict. Null means REJECT with a `base`. Without a `base`, null means that all
    /// fields are changed, but that a lower `currentChapter` is ignored, with the `readingStatus` beside it.
    on_conflict: Option<OnConflict>,
}

impl AgainstInput {
    pub(super) fn against(self, rewind: bool) -> Result<Against, Error> {
        Against::new(
            self.base.map(|base| base.read("base")).transpose()?,
            self.on_conflict.map(Into::into),
            rewind,
        )
    }
}

/// What to do about fields that conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::OnConflict")]
pub(in crate::graphql) enum OnConflict {
    /// Change nothing, and list the conflicts.
    Reject,
    /// Change the fields that do not conflict, merge sets of labels by what was added and removed, keep the furthest
    /// chapter, and list the fields that were not changed.
    Merge,
    /// Change all fields, including those that other devices changed.
    Overwrite,
}

/// A field that may be left alone or set, but not cleared.
pub(super) fn set<T>(field: &'static str, value: MaybeUndefined<T>) -> Result<Option<T>, Error> {
    match value {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Err(Error::Invalid {
            field,
            message: "must not be null".to_owned(),
        }),
        MaybeUndefined::Value(value) => Ok(Some(value)),
    }
}

/// A field that may be left alone, set, or cleared.
#[expect(
    clippy::option_option,
    reason = "absent, cleared and set are three things in a patch"
)]
pub(super) fn clear<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

pub(super) fn label_ids(field: &'static str, ids: &[ID]) -> Result<BTreeSet<LabelId>, Error> {
    ids.iter().map(|id| label_id(field, id)).collect()
}

pub(super) fn label_set(
    field: &'static str,
    ids: MaybeUndefined<Vec<ID>>,
) -> Result<Option<BTreeSet<LabelId>>, Error> {
    clear(ids)
        .map(|ids| label_ids(field, &ids.unwrap_or_default()))
        .transpose()
}
