//! What `libraryEvents` tells.

use async_graphql::{Enum, ID, SimpleObject};
use time::OffsetDateTime;

use super::{Head, changes::LibraryKind};
use crate::{
    library::{self, Changed, Kind},
    version,
};

/// News of your library, or a sign of life.
#[derive(SimpleObject)]
pub(in crate::graphql) struct LibraryEvent {
    /// What happened.
    kind: LibraryEventKind,
    /// The version of your library.
    version: i32,
    /// The epoch that the version belongs to.
    epoch: ID,
    /// The head of your library: `version` with its epoch.
    head: Head,
    /// The kinds of rows that changed since the event before. Empty unless something did.
    changed: Vec<LibraryKind>,
    /// The device that made the change, if it told and was the only one: it may skip its refetch.
    device: Option<Device>,
    /// When the change was made; otherwise, when this event was.
    at: OffsetDateTime,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum LibraryEventKind {
    /// The stream has begun. Compare the version with yours.
    Connected,
    /// Your library changed.
    Changed,
    /// Nothing: a sign of life, and the version again.
    Heartbeat,
}

/// A device of yours.
#[derive(SimpleObject)]
pub(super) struct Device {
    /// What tells it from your other devices.
    id: ID,
    /// What you call it.
    name: Option<String>,
}

impl From<library::Device> for Device {
    fn from(device: library::Device) -> Self {
        Self {
            id: device.id().into(),
            name: device.name().map(str::to_owned),
        }
    }
}

impl LibraryEvent {
    /// That the stream has begun at `head`, or is alive.
    pub fn quiet(kind: LibraryEventKind, head: version::Head) -> Self {
        Self {
            kind,
            version: head.version.number(),
            epoch: head.epoch.to_string().into(),
            head: head.into(),
            changed: Vec::new(),
            device: None,
            at: OffsetDateTime::now_utc(),
        }
    }

    /// That the library changed up to `head`; where it is not known what, anything may have.
    pub fn of_change(head: version::Head, what: Option<Changed>) -> Self {
        let quiet = Self::quiet(LibraryEventKind::Changed, head);
        let Some(what) = what else {
            let all = [Kind::Story, Kind::Progress, Kind::Tag, Kind::Fandom];
            return Self {
                changed: all.map(LibraryKind::from).into(),
                ..quiet
            };
        };
        Self {
            changed: what.kinds.into_iter().map(LibraryKind::from).collect(),
            device: what.device.map(Device::from),
            at: what.at,
            ..quiet
        }
    }
}
