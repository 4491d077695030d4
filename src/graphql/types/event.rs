//! Events of `libraryEvents`.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};
use time::OffsetDateTime;

use super::{Head, changes::LibraryKind, date_time::DateTime};
use crate::{
    graphql::context::CallerExt as _,
    library::{self, Changed, Error, Kind},
    version,
};

/// A change of the library, or a heartbeat.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(in crate::graphql) struct LibraryEvent {
    /// Kind of the event.
    kind: LibraryEventKind,
    /// Version of the library.
    version: i32,
    /// Epoch that the version belongs to.
    epoch: ID,
    /// Head of the library: `version` with its epoch.
    head: Head,
    /// Kinds of rows that changed since the previous event. Empty unless `kind` is CHANGED.
    changed: Vec<LibraryKind>,
    /// Device that made the change; it may skip its refetch. Null when the change named no device, or several made it.
    device: Option<Device>,
    /// Time of the change, or of the event if it is not a change.
    at: DateTime,
    /// Position of the newest change in its distributed trace, as a W3C `traceparent`. Null unless the server exports traces
    /// and the mutation was sent with a sampled `traceparent`.
    traceparent: Option<String>,
    /// Head of the previous event. `None` unless the library changed since in the same epoch.
    #[graphql(skip)]
    previous: Option<version::Head>,
}

#[ComplexObject]
impl LibraryEvent {
    /// Ids of the progresses that changed since the previous event, or whose story did, and that are among
    /// `Query.warm(first: 20)`, the likeliest first: worth loading before the reader opens them. Empty unless `kind` is
    /// CHANGED.
    async fn warm(&self, ctx: &Context<'_>) -> Result<Vec<ID>, Error> {
        let Some(previous) = self.previous else {
            return Ok(Vec::new());
        };
        let caller = ctx.caller();
        let user = &caller.viewer.user;
        let warm = caller.library.warm_since(user, previous).await?;
        Ok(warm.iter().map(|id| id.to_string().into()).collect())
    }
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum LibraryEventKind {
    /// The stream has begun. A copy of another version is stale.
    Connected,
    /// The library changed.
    Changed,
    /// Nothing changed. The event repeats the version and shows that the stream is alive.
    Heartbeat,
}

/// A device of the user: one installation of a client.
#[derive(SimpleObject)]
pub(super) struct Device {
    /// Client-generated id of 1 to 100 characters, which differs from those of the user's other devices.
    id: ID,
    /// Name of 1 to 100 characters that the user knows the device by. Null means none was given.
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
            at: OffsetDateTime::now_utc().into(),
            traceparent: None,
            previous: None,
        }
    }

    /// That the library changed after `last` up to `head`; where it is not known what, anything may have.
    pub fn of_change(last: version::Head, head: version::Head, what: Option<Changed>) -> Self {
        let quiet = Self {
            previous: Some(last).filter(|last| last.epoch == head.epoch),
            ..Self::quiet(LibraryEventKind::Changed, head)
        };
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
            at: what.at.into(),
            traceparent: what.traceparent,
            ..quiet
        }
    }
}
