//! Devices of the signed-in user, and the mutations that concern one of them.

use async_graphql::{Enum, ID, InputObject, SimpleObject};

use super::{Head, Library, date_time::DateTime, payload::Refusal, push_endpoint::PushEndpoint};
use crate::{
    graphql::context::Caller,
    library::{self, Device, Error},
    version,
};

/// Why a device is not up to date, and what to do about it. Of several causes, the one to remove first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Verdict")]
pub(super) enum DeviceVerdict {
    /// The screen reflects the current version. Nothing to do.
    UpToDate,
    /// The device is behind and has an open stream, so it is about to load. Wait a moment. If it stays, reload the app on
    /// the device.
    BehindConnected,
    /// The device is behind and has no open stream. Open the app on it: it loads when it starts.
    Asleep,
    /// Changes wait in the outbox, although the device makes requests. See `pending.error`, and fix or remove the oldest
    /// change on the device.
    OutboxStuck,
    /// The token of the device has expired or was signed out, and the device has no new one. Sign in on the device.
    TokenEnded,
    /// The copy of the device is of another epoch. Open the app on it, so that it drops its copy and loads all.
    OtherEpoch,
    /// The copy of the device is older than the history that is kept. Open the app on it, so that it loads all.
    BelowFloor,
    /// The stream of the device is open, but events do not reach it. Switch off response buffering in the proxy in front of
    /// the server.
    StreamBuffered,
    /// The push endpoint of the device no longer exists, and the device has no open stream. Switch notifications off and on
    /// in the app on the device.
    PushEndpointGone,
    /// The client is older than the oldest version that the operator supports. Close all tabs of the app on the device and
    /// open it again.
    ClientTooOld,
    /// The clock of the device is wrong by more than 2 minutes. Let the device set its clock automatically.
    ClockOff,
    /// The device has never reported what its screen reflects. Open the app on it.
    NeverSeen,
}

/// A device of the user: one installation of a client that names itself.
#[derive(SimpleObject)]
pub(super) struct ViewerDevice {
    /// Client-generated id of the device.
    id: ID,
    /// Name that the user gave the device, or else the name that the device gives itself. Null means none.
    name: Option<String>,
    /// Browser or app and operating system, in words, such as "Firefox on Android". Null means unknown.
    platform: Option<String>,
    /// Client and its version, such as "my-app/2.1". Null means unknown.
    client: Option<String>,
    /// Time of the last request of the device; the current time while it has an open stream. Null means never.
    last_seen_at: Option<DateTime>,
    /// Version that the screen of the device reflects, as it reported last. Null means unknown.
    applied_version: Option<i32>,
    /// Head that the screen of the device reflects: `appliedVersion` with its epoch. Null means unknown.
    applied_head: Option<Head>,
    /// Number of versions that the device has not applied. Null means that it has not reported, or is of another epoch.
    behind: Option<i32>,
    /// Changes in the outbox of the device, as it reported last. Null means unknown.
    pending: Option<PendingChanges>,
    /// Open streams of the device, oldest first.
    streams: Vec<DeviceStream>,
    /// Push endpoint of the device. Null means none.
    push_endpoint: Option<PushEndpoint>,
    /// Why the device is not up to date, and what to do about it.
    verdict: DeviceVerdict,
    /// Time since which the verdict holds. Null means unknown.
    verdict_since: Option<DateTime>,
}

/// Changes that wait in the outbox of a device.
#[derive(SimpleObject)]
struct PendingChanges {
    /// Number of changes.
    count: i32,
    /// Time of the oldest change, by the clock of the device. Null means unknown or none.
    oldest_at: Option<DateTime>,
    /// Stable code of the error with which the oldest change failed last. Null means that it did not fail.
    error: Option<String>,
}

/// An open stream of a device.
#[derive(SimpleObject)]
struct DeviceStream {
    /// Transport: "websocket", "sse", "multipart" or "events".
    transport: String,
    /// Name of the server that the stream is open on.
    node: String,
    /// Time at which the stream was opened.
    opened_at: DateTime,
}

impl From<library::ViewedDevice> for ViewerDevice {
    fn from(device: library::ViewedDevice) -> Self {
        let pending = |pending: library::PendingChanges| PendingChanges {
            count: i32::try_from(pending.count).unwrap_or(i32::MAX),
            oldest_at: pending.oldest_at.map(DateTime::from),
            error: pending.error,
        };
        let stream = |stream: library::ViewedStream| DeviceStream {
            transport: stream.transport,
            node: stream.node,
            opened_at: stream.opened_at.into(),
        };
        Self {
            id: device.id.into(),
            name: device.name,
            platform: device.platform,
            client: device.client,
            last_seen_at: device.last_seen_at.map(DateTime::from),
            applied_version: device.applied.map(|head| head.version.number()),
            applied_head: device.applied.map(Head::from),
            behind: device.behind,
            pending: device.pending.map(pending),
            streams: device.streams.into_iter().map(stream).collect(),
            push_endpoint: device.endpoint.map(PushEndpoint::from),
            verdict: device.verdict.into(),
            verdict_since: device.since.map(DateTime::from),
        }
    }
}

/// A device and its new name.
#[derive(InputObject)]
pub(in crate::graphql) struct RenameDeviceInput {
    /// Id of the device.
    device: ID,
    /// Name of 1 to 100 characters. Null means the name that the device gives itself.
    name: Option<String>,
}

/// A device to forget.
#[derive(InputObject)]
pub(in crate::graphql) struct ForgetDeviceInput {
    /// Id of the device.
    device: ID,
}

impl RenameDeviceInput {
    /// Renames the caller's device.
    pub async fn rename(self, caller: &Caller) -> Result<RenameDevicePayload, Error> {
        let device = Device::new(self.device.0, self.name)?;
        let id = device.id().to_owned();
        let user = &caller.viewer.user;
        let mut payload = RenameDevicePayload::new(caller.head()?);
        if caller.library.rename_device(user, device).await? {
            let devices = caller.library.viewed_devices(user).await?;
            let renamed = devices.into_iter().find(|device| device.id == id);
            payload.device = renamed.map(ViewerDevice::from);
        } else {
            payload.refusal = Some(unknown_device());
        }
        Ok(payload)
    }
}

impl ForgetDeviceInput {
    /// Forgets the caller's device.
    pub async fn forget(self, caller: &Caller) -> Result<ForgetDevicePayload, Error> {
        let device = Device::new(self.device.0, None)?;
        let user = &caller.viewer.user;
        let mut payload = ForgetDevicePayload::new(caller.head()?);
        if caller.library.forget_device(user, &device).await? {
            payload.forgotten_device_id = Some(device.id().into());
        } else {
            payload.refusal = Some(unknown_device());
        }
        Ok(payload)
    }
}

fn unknown_device() -> Refusal {
    Refusal::not_found("device", "the user has no device with this id")
}

/// Result of `renameDevice`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct RenameDevicePayload {
    /// Version of the library, which a device does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Device with its new name. Null means that the mutation was refused.
    device: Option<ViewerDevice>,
    /// Reason why nothing was renamed. Null means that the device was renamed.
    refusal: Option<Refusal>,
}

/// Result of `forgetDevice`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct ForgetDevicePayload {
    /// Version of the library, which a device does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Id of the device. Null means that the mutation was refused.
    forgotten_device_id: Option<ID>,
    /// Reason why nothing was forgotten. Null means that the device was forgotten.
    refusal: Option<Refusal>,
}

impl RenameDevicePayload {
    fn new(head: version::Head) -> Self {
        Self {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            device: None,
            refusal: None,
        }
    }
}

impl ForgetDevicePayload {
    fn new(head: version::Head) -> Self {
        Self {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            forgotten_device_id: None,
            refusal: None,
        }
    }
}
