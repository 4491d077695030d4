//! [`DeviceLog`]: the reports and open streams of devices on this node, before they are stored.
//!
//! In the flow: `http` and `graphql` report, [`store`](super::store) takes what is due, and
//! [`viewed`](super::viewed) reads what is not stored yet.
//!
//! **Invariant:** reports of a device coalesce: one entry a device, however many requests it makes.
//! **Invariant:** memory is bounded by [`MAX_ENTRIES`], and one user cannot use up what others need: each has at most
//! [`DeviceSettings::max_devices_per_user`] entries.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use uuid::Uuid;

use super::{report::DeviceReport, settings::DeviceSettings};
use crate::version::UserId;

/// Maximum number of devices in memory. Reports of further ones are ignored until entries are stored.
const MAX_ENTRIES: usize = 262_144;

/// How often an entry is taken to be stored in vain before it is dropped. The row of a user may not exist yet.
const MAX_ATTEMPTS: u32 = 5;

/// The devices of this node. Cheap to clone.
#[derive(Clone, Default)]
pub struct DeviceLog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Id of this node.
    node: Uuid,
    settings: DeviceSettings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: HashMap<UserId, HashMap<Arc<str>, Entry>>,
    count: usize,
    /// Number of the last stream.
    last_stream: i64,
}

/// What this node knows of a device.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub report: DeviceReport,
    /// Time of the last accepted request, or of the end of its last stream.
    pub seen: Option<Instant>,
    /// Time of the last report of `applied`.
    pub applied: Option<Instant>,
    /// Time of the last report of `pending`.
    pub pending: Option<Instant>,
    /// Time of the first report with the same oldest pending change.
    pub pending_since: Option<Instant>,
    /// Time since which all requests were refused, because its token had ended.
    pub refused: Option<Instant>,
    pub streams: Vec<OpenStream>,
}

/// An open stream.
#[derive(Debug, Clone)]
pub(super) struct OpenStream {
    pub number: i64,
    pub transport: &'static str,
    pub opened: Instant,
}

#[derive(Default)]
struct Entry {
    known: Known,
    has_unsaved_report: bool,
    has_unsaved_streams: bool,
    saved: Option<Instant>,
    attempts: u32,
}

/// A device to store.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub user: UserId,
    pub device: Arc<str>,
    pub known: Known,
    /// Whether streams began or ended since the last time.
    pub has_unsaved_streams: bool,
    /// Whether this node has not stored it before.
    pub is_first: bool,
}

impl DeviceLog {
    /// Creates an empty log.
    pub(in crate::library) fn new(settings: DeviceSettings) -> Self {
        Self(Arc::new(Inner {
            node: Uuid::now_v7(),
            settings,
            state: Mutex::default(),
        }))
    }

    /// Returns the id of this node.
    pub(super) fn node(&self) -> Uuid {
        self.0.node
    }

    /// Returns the name of this node.
    pub(super) fn node_name(&self) -> String {
        let name = self.0.settings.node_name.clone();
        name.unwrap_or_else(|| self.0.node.simple().to_string().split_off(24))
    }

    /// Returns the settings.
    pub(super) fn settings(&self) -> &DeviceSettings {
        &self.0.settings
    }

    /// Records an accepted request of a device.
    pub fn report(&self, user: &UserId, device: &str, report: DeviceReport) {
        self.change(user, device, |entry, now| {
            let known = &mut entry.known;
            known.seen = Some(now);
            if report.applied.is_some() {
                known.applied = Some(now);
            }
            if let Some(pending) = &report.pending {
                let before = known.report.pending.as_ref();
                let is_same = before.is_some_and(|before| {
                    before.count > 0 && pending.count > 0 && before.oldest_at == pending.oldest_at
                });
                if !is_same {
                    known.pending_since = Some(now);
                }
                known.pending = Some(now);
            }
            known.report.update(report);
        });
    }

    /// Records a request that was refused, because the token of the device had ended.
    pub fn refuse(&self, user: &UserId, device: &str) {
        self.change(user, device, |entry, now| entry.known.refuse(now));
    }

    /// Records an open stream of a device, until the returned value is dropped.
    pub fn open(&self, user: &UserId, device: &str, transport: &'static str) -> DeviceStream {
        let number = {
            let mut state = self.0.state.lock();
            state.last_stream += 1;
            state.last_stream
        };
        self.change(user, device, |entry, now| {
            entry.known.seen = Some(now);
            entry.known.streams.push(OpenStream {
                number,
                transport,
                opened: now,
            });
            entry.has_unsaved_streams = true;
        });
        DeviceStream {
            log: self.clone(),
            user: user.clone(),
            device: device.into(),
            number,
            has_token_ended: false,
        }
    }

    /// Forgets a device. If it is in use, its next request records it again. Returns whether it was known.
    pub(super) fn forget(&self, user: &UserId, device: &str) -> bool {
        let mut state = self.0.state.lock();
        let Some(devices) = state.users.get_mut(user) else {
            return false;
        };
        let removed = devices.remove(device).is_some();
        let is_last = devices.is_empty();
        state.count -= usize::from(removed);
        if is_last {
            state.users.remove(user);
        }
        removed
    }

    /// Forgets all devices of a user whose account was erased.
    pub(in crate::library) fn forget_user(&self, user: &UserId) {
        let mut state = self.0.state.lock();
        let removed = state.users.remove(user);
        state.count -= removed.map_or(0, |devices| devices.len());
    }

    /// Returns what this node knows of the user's devices.
    pub(super) fn of_user(&self, user: &UserId) -> HashMap<Arc<str>, Known> {
        let state = self.0.state.lock();
        let devices = state.users.get(user).into_iter().flatten();
        devices
            .map(|(device, entry)| (device.clone(), entry.known.clone()))
            .collect()
    }

    /// Marks the streams of all devices as not stored, because this node's row was lost.
    pub(super) fn lose_streams(&self) {
        let mut state = self.0.state.lock();
        for entry in state.users.values_mut().flat_map(HashMap::values_mut) {
            entry.has_unsaved_streams |= !entry.known.streams.is_empty();
        }
    }

    /// Takes what is to be stored now, or all that is not stored. Drops entries that were stored and have no stream.
    pub(super) fn take(&self, all: bool) -> Vec<Unsaved> {
        let (mut taken, mut dropped) = (Vec::new(), 0);
        let interval = self.0.settings.device_interval;
        let mut state = self.0.state.lock();
        state.users.retain(|user, devices| {
            let before = devices.len();
            devices.retain(|_, entry| entry.is_needed(interval));
            dropped += before - devices.len();
            for (device, entry) in devices.iter_mut() {
                if entry.is_unsaved() && (all || !entry.is_recent(interval)) {
                    taken.push(entry.take(user, device));
                }
            }
            !devices.is_empty()
        });
        state.count -= dropped;
        taken
    }

    /// Takes all of a user's devices that are not stored.
    pub(super) fn take_of(&self, user: &UserId) -> Vec<Unsaved> {
        let mut state = self.0.state.lock();
        let devices = state.users.get_mut(user).into_iter().flatten();
        let unsaved = devices.filter(|(_, entry)| entry.is_unsaved());
        unsaved
            .map(|(device, entry)| entry.take(user, device))
            .collect()
    }

    /// Returns what was taken and could not be stored.
    pub(super) fn put_back(&self, unsaved: &[Unsaved]) {
        let mut state = self.0.state.lock();
        for unsaved in unsaved {
            let devices = state.users.get_mut(&unsaved.user);
            if let Some(entry) = devices.and_then(|devices| devices.get_mut(&unsaved.device)) {
                entry.has_unsaved_report = true;
                entry.has_unsaved_streams |= unsaved.has_unsaved_streams;
                entry.attempts += 1;
                if unsaved.is_first {
                    entry.saved = None;
                }
            }
        }
    }

    fn change(&self, user: &UserId, device: &str, change: impl FnOnce(&mut Entry, Instant)) {
        let mut state = self.0.state.lock();
        if let Some(entry) = state.entry(user, device, self.0.settings.max_devices_per_user) {
            change(entry, Instant::now());
            entry.has_unsaved_report = true;
            entry.attempts = 0;
        }
    }
}

impl State {
    fn entry(&mut self, user: &UserId, device: &str, most: usize) -> Option<&mut Entry> {
        let is_known = |devices: &HashMap<Arc<str>, Entry>| devices.contains_key(device);
        if !self.users.get(user).is_some_and(is_known) {
            if self.count >= MAX_ENTRIES {
                return None;
            }
            let devices = self.users.entry(user.clone()).or_default();
            if devices.len() >= most {
                let spare = devices.iter().find(|(_, entry)| entry.is_spare());
                let spare = spare.map(|(device, _)| device.clone())?;
                devices.remove(&spare);
                self.count -= 1;
            }
            devices.insert(device.into(), Entry::default());
            self.count += 1;
        }
        self.users.get_mut(user)?.get_mut(device)
    }
}

impl Known {
    fn refuse(&mut self, now: Instant) {
        // The first refusal since the last accepted request.
        if self.refused.is_none() || self.refused < self.seen {
            self.refused = Some(now);
        }
    }
}

impl Entry {
    /// Whether nothing is lost without it.
    fn is_spare(&self) -> bool {
        !self.has_unsaved_report && self.known.streams.is_empty()
    }

    fn is_recent(&self, interval: Duration) -> bool {
        self.saved.is_some_and(|at| at.elapsed() < interval)
    }

    fn is_needed(&self, interval: Duration) -> bool {
        let is_in_vain = self.attempts >= MAX_ATTEMPTS && self.known.streams.is_empty();
        (!self.is_spare() || self.is_recent(interval)) && !is_in_vain
    }

    fn is_unsaved(&self) -> bool {
        self.has_unsaved_report || self.has_unsaved_streams
    }

    fn take(&mut self, user: &UserId, device: &Arc<str>) -> Unsaved {
        let unsaved = Unsaved {
            user: user.clone(),
            device: device.clone(),
            known: self.known.clone(),
            has_unsaved_streams: self.has_unsaved_streams,
            is_first: self.saved.is_none(),
        };
        self.has_unsaved_report = false;
        self.has_unsaved_streams = false;
        self.saved = Some(Instant::now());
        unsaved
    }
}

/// An open stream of a device. Dropping it records the end.
#[derive(Debug)]
pub struct DeviceStream {
    log: DeviceLog,
    user: UserId,
    device: Arc<str>,
    number: i64,
    has_token_ended: bool,
}

impl std::fmt::Debug for DeviceLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceLog")
    }
}

impl DeviceStream {
    /// Returns the id of the device.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Records that the stream ends because the token has ended.
    pub fn end_of_token(&mut self) {
        self.has_token_ended = true;
    }
}

impl Drop for DeviceStream {
    fn drop(&mut self) {
        let mut state = self.log.0.state.lock();
        let devices = state.users.get_mut(&self.user);
        // A device that was forgotten stays forgotten.
        let Some(entry) = devices.and_then(|devices| devices.get_mut(&self.device)) else {
            return;
        };
        let (known, now) = (&mut entry.known, Instant::now());
        known.streams.retain(|stream| stream.number != self.number);
        known.seen = Some(now);
        if self.has_token_ended {
            known.refuse(now);
        }
        entry.has_unsaved_report = true;
        entry.has_unsaved_streams = true;
        entry.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{library::device::report::Pending, version::testing::head};

    fn ann() -> UserId {
        UserId::new("ann").unwrap()
    }

    fn log(most: usize) -> DeviceLog {
        DeviceLog::new(DeviceSettings {
            max_devices_per_user: most,
            ..DeviceSettings::default()
        })
    }

    fn applied(version: i32) -> DeviceReport {
        DeviceReport {
            applied: Some(head(1, version)),
            ..DeviceReport::default()
        }
    }

    #[test]
    fn reports_of_a_device_coalesce_and_are_taken_at_most_once_an_interval() {
        let log = log(9);
        for version in [2, 5, 3] {
            log.report(&ann(), "phone", applied(version));
        }
        let taken = log.take(false);
        assert_eq!((taken.len(), taken[0].is_first), (1, true));
        assert_eq!(taken[0].known.report.applied, Some(head(1, 3)));
        log.report(&ann(), "phone", applied(6));
        assert!(log.take(false).is_empty(), "the interval has not passed");
        assert_eq!(log.take_of(&ann()).len(), 1, "asked for the user");
    }

    #[test]
    fn a_failed_store_is_retried_a_few_times() {
        let log = log(9);
        log.report(&ann(), "phone", applied(2));
        for _ in 0..MAX_ATTEMPTS {
            let taken = log.take(false);
            assert_eq!(taken.len(), 1);
            log.put_back(&taken);
        }
        assert!(log.take(false).is_empty());
        assert_eq!(log.0.state.lock().count, 0);
    }

    #[test]
    fn a_user_has_a_maximum_of_entries_and_another_user_their_own() {
        let log = log(2);
        let bob = UserId::new("bob").unwrap();
        for device in ["a", "b", "c"] {
            log.report(&ann(), device, applied(1));
        }
        log.report(&bob, "phone", applied(1));
        assert_eq!(log.of_user(&ann()).len(), 2);
        assert_eq!(log.of_user(&bob).len(), 1);
        // Once they are stored, a new device takes the place of one without a stream.
        log.take(true);
        log.report(&ann(), "d", applied(1));
        assert!(log.of_user(&ann()).contains_key("d"));
        assert_eq!(log.0.state.lock().count, 3);
    }

    #[test]
    fn a_stream_is_open_until_it_is_dropped() {
        let log = log(9);
        let (one, two) = (
            log.open(&ann(), "phone", "events"),
            log.open(&ann(), "phone", "sse"),
        );
        let open = |log: &DeviceLog| log.of_user(&ann())["phone"].streams.len();
        assert_eq!(open(&log), 2);
        assert!(log.take(false)[0].has_unsaved_streams);
        drop(one);
        assert_eq!(open(&log), 1);
        drop(two);
        assert_eq!(open(&log), 0);
    }

    #[test]
    fn the_first_refusal_since_the_last_accepted_request_counts() {
        let log = log(9);
        let refused = |log: &DeviceLog| {
            let known = &log.of_user(&ann())["phone"];
            (known.refused, known.refused >= known.seen)
        };
        let mut stream = log.open(&ann(), "phone", "events");
        stream.end_of_token();
        drop(stream);
        let (first, counts) = refused(&log);
        assert!(first.is_some() && counts);
        log.refuse(&ann(), "phone");
        assert_eq!(refused(&log), (first, true));
        log.report(&ann(), "phone", DeviceReport::default());
        assert!(!refused(&log).1);
        log.refuse(&ann(), "phone");
        assert!(refused(&log).0 > first);
    }

    #[test]
    fn the_outbox_waits_since_its_oldest_change_was_first_reported() {
        let log = log(9);
        let pending = |count, oldest_at| DeviceReport {
            pending: Some(Pending {
                count,
                oldest_at: Some(oldest_at),
                error: None,
            }),
            ..DeviceReport::default()
        };
        let since = |log: &DeviceLog| log.of_user(&ann())["phone"].pending_since;
        log.report(&ann(), "phone", pending(2, 7));
        let first = since(&log);
        log.report(&ann(), "phone", pending(3, 7));
        assert_eq!(since(&log), first);
        log.report(&ann(), "phone", pending(1, 9));
        assert!(since(&log) > first, "the oldest was sent");
    }
}
