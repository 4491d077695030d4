//! A Web Push endpoint: the address at which a push service accepts messages for one device.

use std::fmt;

use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::device::Device;
use crate::version::Head;

/// The minimum time between two messages to an endpoint, chosen by the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Pace {
    /// A message after each change, once the settle time has passed.
    EveryChange,
    /// At most one message an hour.
    Hourly,
    /// At most one message in 24 hours.
    #[default]
    Daily,
    /// No messages.
    Off,
}

/// An endpoint to register. `Debug` does not show its address and its keys.
#[derive(Clone)]
pub struct NewEndpoint {
    /// URL of the endpoint.
    pub address: String,
    /// Public key of the subscription, in base64url.
    pub p256dh: String,
    /// Authentication secret of the subscription, in base64url.
    pub auth: String,
    /// The push service: the name of its operator, or its host if the operator is unknown.
    pub service: String,
    /// Time at which the browser ends the subscription.
    pub expires_at: Option<OffsetDateTime>,
    /// The device.
    pub device: Device,
    /// The pace. `None` keeps the device's pace, or selects the default.
    pub pace: Option<Pace>,
    /// The head that the device's screen reflects. `None` keeps what is known of the device, or selects the current one.
    pub applied: Option<Head>,
}

impl fmt::Debug for NewEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEndpoint")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// A registered endpoint, without its address and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: Uuid,
    /// Id of the device.
    pub device_id: String,
    /// The pace.
    pub pace: Pace,
    /// Time of registration.
    pub created_at: OffsetDateTime,
    /// Time at which the browser ends the subscription.
    pub expires_at: Option<OffsetDateTime>,
    /// Time of the last message that the push service accepted.
    pub sent_at: Option<OffsetDateTime>,
    /// Time since which all messages failed.
    pub failing_since: Option<OffsetDateTime>,
}

impl Endpoint {
    /// Maximum number of endpoints of one user.
    pub const MAX_PER_USER: usize = 20;
}
