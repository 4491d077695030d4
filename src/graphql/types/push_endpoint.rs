//! Push endpoints: where the browsers of a user's devices accept messages.

use async_graphql::{Enum, ID, InputObject, SimpleObject};
use time::OffsetDateTime;

use super::{Head, Library, date_time::DateTime, input::DeviceInput, payload::Refusal};
use crate::{
    graphql::context::Caller,
    library::{self, Device, Error, NewEndpoint},
    push::{self, InvalidEndpoint, InvalidRecipient, Push, TestOutcome},
    version,
};

/// Minimum time between two messages to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Pace")]
pub(super) enum PushPace {
    /// A message for each change that the device has not fetched after a few seconds.
    EveryChange,
    /// At most one message an hour.
    Hourly,
    /// At most one message in 24 hours.
    Daily,
    /// No messages.
    Off,
}

/// A device that gets push messages.
#[derive(SimpleObject)]
pub(super) struct PushEndpoint {
    /// UUID of the endpoint.
    id: ID,
    /// Client-generated id of the device.
    device_id: ID,
    /// Minimum time between two messages.
    pace: PushPace,
    /// Time of registration.
    registered_at: DateTime,
    /// Time at which the browser ends the subscription. Null means never.
    expires_at: Option<DateTime>,
    /// Time of the last message that the push service accepted. Null means none.
    sent_at: Option<DateTime>,
    /// Time since which all messages to the device failed. Null means that the last one was accepted. After 14 days the
    /// endpoint is removed.
    failing_since: Option<DateTime>,
}

impl From<library::Endpoint> for PushEndpoint {
    fn from(endpoint: library::Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string().into(),
            device_id: endpoint.device_id.into(),
            pace: endpoint.pace.into(),
            registered_at: endpoint.created_at.into(),
            expires_at: endpoint.expires_at.map(DateTime::from),
            sent_at: endpoint.sent_at.map(DateTime::from),
            failing_since: endpoint.failing_since.map(DateTime::from),
        }
    }
}

/// A push subscription of a browser, and its device.
#[derive(InputObject)]
pub(in crate::graphql) struct RegisterPushEndpointInput {
    /// `endpoint` of the browser's `PushSubscription`: an https URL of at most 2,000 bytes, without user name, fragment
    /// and white space. It belongs to one user: registering it moves it to the signed-in user.
    endpoint: String,
    /// `keys.p256dh` of the `PushSubscription`, in base64url.
    p256dh: String,
    /// `keys.auth` of the `PushSubscription`, in base64url.
    auth: String,
    /// `expirationTime` of the `PushSubscription`, in milliseconds since the Unix epoch. Null means never.
    expiration_time: Option<f64>,
    /// Device of the browser. It has one endpoint: the new one replaces the one before.
    device: DeviceInput,
    /// Minimum time between two messages. Null keeps the pace of the device; it is DAILY at first.
    pace: Option<PushPace>,
    /// Head that the device's screen reflects. Null keeps what is known of the device; a new device has the current head.
    applied: Option<Head>,
}

/// Which endpoint to remove: the one that matches all given fields. At least one of them is required.
#[derive(InputObject)]
pub(in crate::graphql) struct UnregisterPushEndpointInput {
    /// `endpoint` of the browser's `PushSubscription`. Null means any.
    endpoint: Option<String>,
    /// Id of the device. Null means any.
    device: Option<ID>,
}

/// Which device to test.
#[derive(InputObject)]
pub(in crate::graphql) struct SendTestPushInput {
    /// Id of the device.
    device: ID,
}

impl RegisterPushEndpointInput {
    /// Registers the endpoint for the caller.
    pub async fn register(self, caller: &Caller) -> Result<RegisterPushEndpointPayload, Error> {
        let (head, push) = (caller.head()?, switched_on(caller)?);
        let accepted = push.check(&self.endpoint, &self.p256dh, &self.auth);
        let accepted = accepted.map_err(|error| {
            let field = match error {
                InvalidEndpoint::Address(_) => "endpoint",
                InvalidEndpoint::Keys(InvalidRecipient::PublicKey) => "p256dh",
                InvalidEndpoint::Keys(InvalidRecipient::Auth) => "auth",
            };
            Error::invalid(field, error.to_string())
        })?;
        let new = NewEndpoint {
            address: accepted.address,
            p256dh: self.p256dh,
            auth: self.auth,
            service: accepted.service,
            expires_at: self.expiration_time.map(time_of).transpose()?,
            device: self.device.read()?,
            pace: self.pace.map(Into::into),
            applied: self.applied.map(|head| head.read("applied")).transpose()?,
        };
        let lease = push.limits().push_lease;
        let (user, device) = (&caller.viewer.user, new.device.clone());
        let registered = caller.library.register_endpoint(user, new, lease).await;
        let (endpoint, refusal) = match registered {
            Ok(endpoint) => {
                caller.library.note_device(user, &device);
                (Some(endpoint.into()), None)
            }
            Err(Error::Refused(refusal)) => (None, Some(refusal.into())),
            Err(error) => return Err(error),
        };
        Ok(RegisterPushEndpointPayload {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            endpoint,
            refusal,
        })
    }
}

impl UnregisterPushEndpointInput {
    /// Removes the caller's endpoint.
    pub async fn unregister(self, caller: &Caller) -> Result<UnregisterPushEndpointPayload, Error> {
        if self.endpoint.is_none() && self.device.is_none() {
            return Err(Error::invalid("input", "must name an endpoint or a device"));
        }
        let device = self.device.map(|id| Device::new(id.0, None)).transpose()?;
        let address = self.endpoint.as_deref().map(push::parse_address);
        let address = address.transpose();
        let address = address.map_err(|error| Error::invalid("endpoint", error.to_string()))?;
        let head = caller.head()?;
        let removed = caller.library.unregister_endpoint(
            &caller.viewer.user,
            address.as_ref().map(url::Url::as_str),
            device.as_ref().map(Device::id),
        );
        Ok(UnregisterPushEndpointPayload {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            removed: removed.await?,
        })
    }
}

impl SendTestPushInput {
    /// Sends a test message to the caller's device.
    pub async fn send(self, caller: &Caller) -> Result<SendTestPushPayload, Error> {
        let (head, push) = (caller.head()?, switched_on(caller)?);
        let device = Device::new(self.device.0, None)?;
        let (library, user) = (&caller.library, &caller.viewer.user);
        let mut payload = SendTestPushPayload::new(head);
        let outcome = match library.endpoint_to_test(user, device.id()).await? {
            Some(endpoint) => Box::pin(push::test(library, push, &endpoint, head)).await?,
            None => TestOutcome::TooSoon,
        };
        match outcome {
            TestOutcome::Sent(status) => {
                payload.accepted = status.is_some_and(|status| status.is_success());
                payload.status = status.map(|status| status.as_u16().into());
            }
            TestOutcome::TooSoon => {
                let endpoints = library.endpoints(user).await?;
                let exists = endpoints.iter().any(|known| known.device_id == device.id());
                payload.refusal = Some(not_tested(exists));
            }
        }
        Ok(payload)
    }
}

fn not_tested(exists: bool) -> Refusal {
    if exists {
        let message = "a test message was sent less than 10 seconds ago: wait";
        return Refusal::limit_reached(message.to_owned());
    }
    let message = "the device has no push endpoint: register one first";
    Refusal::not_found("device", message)
}

fn switched_on(caller: &Caller) -> Result<&Push, Error> {
    let off = || Error::invalid("input", "Web Push is off: `pushPublicKey` is null");
    caller.push.as_ref().ok_or_else(off)
}

/// Reads a `DOMHighResTimeStamp`.
fn time_of(millis: f64) -> Result<OffsetDateTime, Error> {
    let seconds = std::time::Duration::try_from_secs_f64(millis / 1_000.0).ok();
    let time =
        seconds.and_then(|since| OffsetDateTime::UNIX_EPOCH.checked_add(since.try_into().ok()?));
    time.ok_or_else(|| {
        Error::invalid(
            "expirationTime",
            "must be milliseconds since the Unix epoch",
        )
    })
}

/// Result of `registerPushEndpoint`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct RegisterPushEndpointPayload {
    /// Version of the library, which an endpoint does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Endpoint of the device. Null means that the mutation was refused.
    endpoint: Option<PushEndpoint>,
    /// Reason why nothing was registered. Null means that the endpoint was registered.
    refusal: Option<Refusal>,
}

/// Result of `unregisterPushEndpoint`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct UnregisterPushEndpointPayload {
    /// Version of the library, which an endpoint does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Whether the user had such an endpoint.
    removed: bool,
}

/// Result of `sendTestPush`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SendTestPushPayload {
    /// Version of the library, which a message does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Whether the push service accepted the message.
    accepted: bool,
    /// HTTP status of the push service. After 404 and 410 the endpoint is removed. Null means that nothing was sent, or
    /// that it did not answer within 10 seconds.
    status: Option<i32>,
    /// Reason why nothing was sent. Null means that a message was sent.
    refusal: Option<Refusal>,
}

impl SendTestPushPayload {
    fn new(head: version::Head) -> Self {
        Self {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            accepted: false,
            status: None,
            refusal: None,
        }
    }
}
