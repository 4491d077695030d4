//! [`DeviceReport`]: what a request says about its device.

use time::OffsetDateTime;

use crate::version::Head;

/// What a request says about its device. `None` means that it says nothing, and what is known stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceReport {
    /// The name that the device gives itself.
    pub name: Option<String>,
    /// Browser or app and operating system, in words.
    pub platform: Option<String>,
    /// Name and version of the client, such as `my-app/2.1`.
    pub client: Option<String>,
    /// The head that its screen reflects.
    pub applied: Option<Head>,
    /// The changes that wait in its outbox.
    pub pending: Option<Pending>,
    /// How far its clock is ahead of this server's, in milliseconds.
    pub clock_ahead: Option<i64>,
    /// When its token was issued.
    pub issued_at: Option<OffsetDateTime>,
}

/// The changes that wait in the outbox of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending {
    /// Their number.
    pub count: u32,
    /// Time of the oldest, in milliseconds since the Unix epoch, by the device's clock.
    pub oldest_at: Option<i64>,
    /// The stable code of the error with which the oldest failed last.
    pub error: Option<String>,
}

impl DeviceReport {
    /// Maximum length of `platform` and `client`, in characters.
    pub const MAX: usize = 60;

    /// Takes what `newer` says.
    pub(super) fn update(&mut self, newer: Self) {
        let Self {
            name,
            platform,
            client,
            applied,
            pending,
            clock_ahead,
            issued_at,
        } = newer;
        self.name = name.or(self.name.take());
        self.platform = platform.or(self.platform.take());
        self.client = client.or(self.client.take());
        self.applied = applied.or(self.applied);
        self.pending = pending.or(self.pending.take());
        self.clock_ahead = clock_ahead.or(self.clock_ahead);
        self.issued_at = issued_at.or(self.issued_at);
    }
}
