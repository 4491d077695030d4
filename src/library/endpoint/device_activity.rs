//! What this node knows about devices before it is stored: their open streams, and the heads that they reported.
//!
//! In the flow: `http` reports devices and streams, the hub reports new heads, and the worker of `push` stores them in
//! batches. So no request waits for a statement.
//!
//! **Invariant:** for a user without an endpoint nothing is stored, and a commit costs one lookup in memory.
//! **Invariant:** reports are coalesced to the newest head of each device.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::version::{Head, UserId};

/// How long an unsaved report is retried. A report is not saved if the last one was saved less than a minute ago, or the
/// device has no endpoint.
const RETRY_REPORTS: Duration = Duration::from_secs(75);

/// Maximum number of unsaved reports. Further ones are ignored until some are saved.
const MAX_REPORTS: usize = 65_536;

/// Capacity of the heads that keep a repeated notice from being stored again.
const MAX_WEBHOOK_HEADS: usize = 65_536;

/// A device of a user.
pub(super) type DeviceKey = (UserId, Arc<str>);

/// The activity of devices on this node. Cheap to clone. Does nothing until [`DeviceActivity::enable`].
#[derive(Clone, Default)]
pub struct DeviceActivity(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Default)]
struct State {
    is_enabled: bool,
    /// The users with an endpoint, with the newest head that was noticed. A user whose endpoints were removed elsewhere
    /// may stay until the next notice.
    users: HashMap<UserId, Option<Head>>,
    /// Users of `users` whose head has grown.
    changed: HashSet<UserId>,
    /// The newest head of recently changed users. `None` without a webhook.
    webhook: Option<HashMap<UserId, Head>>,
    /// Users whose change is to be reported by webhook.
    webhook_changed: HashSet<UserId>,
    /// The newest head that each device reported, and when it did.
    reports: HashMap<DeviceKey, (Head, Instant)>,
    /// Number of open streams of each device.
    live: HashMap<DeviceKey, usize>,
    arrived: HashSet<DeviceKey>,
    departed: HashSet<DeviceKey>,
}

impl DeviceActivity {
    /// Begins to record activity.
    pub fn enable(&self) {
        self.0.state.lock().is_enabled = true;
    }

    /// Begins to record the changes of all users, for the webhook.
    pub fn enable_webhook(&self) {
        self.0.state.lock().webhook = Some(HashMap::new());
    }

    /// Waits until a user with an endpoint changed, or a device's streams began or ended.
    pub async fn woken(&self) {
        self.0.woken.notified().await;
    }

    /// Records a user's new head.
    pub fn note_head(&self, user: &UserId, head: Head) {
        let mut state = self.0.state.lock();
        let mut is_new = false;
        if let Some(known) = state.users.get_mut(user)
            && *known < Some(head)
        {
            *known = Some(head);
            state.changed.insert(user.clone());
            is_new = true;
        }
        if let Some(heads) = &mut state.webhook {
            if heads.len() >= MAX_WEBHOOK_HEADS {
                heads.clear();
            }
            if heads.get(user) < Some(&head) {
                heads.insert(user.clone(), head);
                state.webhook_changed.insert(user.clone());
                is_new = true;
            }
        }
        drop(state);
        if is_new {
            self.0.woken.notify_one();
        }
    }

    /// Records the head that a device's screen reflects, as the device reports it.
    pub fn report(&self, user: &UserId, device: &str, head: Head) {
        let mut state = self.0.state.lock();
        if !state.users.contains_key(user) {
            return;
        }
        let is_full = state.reports.len() >= MAX_REPORTS;
        let key = (user.clone(), device.into());
        match state.reports.get_mut(&key) {
            Some((known, _)) if *known >= head => {}
            Some(report) => *report = (head, Instant::now()),
            None if is_full => {}
            None => {
                state.reports.insert(key, (head, Instant::now()));
            }
        }
    }

    /// Returns the unsaved report of a device.
    pub fn reported(&self, user: &UserId, device: &str) -> Option<Head> {
        let key = (user.clone(), device.into());
        let state = self.0.state.lock();
        state.reports.get(&key).map(|(head, _)| *head)
    }

    /// Records an open stream of a device, until the returned presence is dropped.
    pub fn attend(&self, user: &UserId, device: &str) -> Option<Presence> {
        let key = (user.clone(), device.into());
        let mut state = self.0.state.lock();
        if !state.is_enabled {
            return None;
        }
        let streams = state.live.entry(key.clone()).or_default();
        *streams += 1;
        if *streams == 1 && state.users.contains_key(user) {
            state.departed.remove(&key);
            state.arrived.insert(key.clone());
            self.0.woken.notify_one();
        }
        Some(Presence {
            activity: self.clone(),
            device: key,
        })
    }

    /// Returns whether a device has an open stream on this node.
    pub fn is_live(&self, user: &UserId, device: &str) -> bool {
        let key = (user.clone(), device.into());
        self.0.state.lock().live.contains_key(&key)
    }

    /// Records users with an endpoint.
    pub(super) fn add_users(&self, users: impl IntoIterator<Item = UserId>) {
        let mut state = self.0.state.lock();
        if !state.is_enabled {
            return;
        }
        for user in users {
            state.users.entry(user).or_default();
        }
    }

    /// Records that a device of the user registered: what it missed is due, and its open streams count.
    pub(super) fn registered(&self, user: &UserId) {
        self.add_users([user.clone()]);
        let mut state = self.0.state.lock();
        if !state.is_enabled {
            return;
        }
        state.changed.insert(user.clone());
        let live = state.live.keys().filter(|(of, _)| of == user);
        let live: Vec<_> = live.cloned().collect();
        state.arrived.extend(live);
        drop(state);
        self.0.woken.notify_one();
    }

    /// Forgets users without an endpoint.
    pub(super) fn remove_users<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) {
        let mut state = self.0.state.lock();
        for user in users {
            state.users.remove(user);
        }
    }

    /// Returns whether no user is known to have an endpoint.
    pub fn is_idle(&self) -> bool {
        self.0.state.lock().users.is_empty()
    }

    /// Takes the users whose heads have grown.
    pub(super) fn take_changed(&self) -> Vec<UserId> {
        mem::take(&mut self.0.state.lock().changed)
            .into_iter()
            .collect()
    }

    /// Returns users that [`DeviceActivity::take_changed`] took, because they could not be stored.
    pub(super) fn put_back_changed(&self, users: Vec<UserId>) {
        self.0.state.lock().changed.extend(users);
    }

    /// Takes the users whose change is to be reported by webhook.
    pub fn take_webhook_changed(&self) -> Vec<UserId> {
        mem::take(&mut self.0.state.lock().webhook_changed)
            .into_iter()
            .collect()
    }

    /// Takes the devices whose first stream began. With `all`, returns all devices with a stream.
    pub(super) fn take_arrived(&self, all: bool) -> Vec<DeviceKey> {
        let mut state = self.0.state.lock();
        let arrived = mem::take(&mut state.arrived);
        if !all {
            return arrived.into_iter().collect();
        }
        let has_endpoint = |(user, _): &&DeviceKey| state.users.contains_key(user);
        state.live.keys().filter(has_endpoint).cloned().collect()
    }

    /// Takes the devices whose last stream ended.
    pub(super) fn take_departed(&self) -> Vec<DeviceKey> {
        mem::take(&mut self.0.state.lock().departed)
            .into_iter()
            .collect()
    }

    /// Returns the unsaved reports, and forgets those that are too old to be saved.
    pub(super) fn unsaved(&self) -> Vec<(DeviceKey, Head)> {
        let mut state = self.0.state.lock();
        state
            .reports
            .retain(|_, (_, at)| at.elapsed() < RETRY_REPORTS);
        let reports = state.reports.iter();
        reports
            .map(|(device, (head, _))| (device.clone(), *head))
            .collect()
    }

    /// Forgets a report that was saved, unless a greater one was made meanwhile.
    pub(super) fn saved(&self, device: &DeviceKey, head: Head) {
        let mut state = self.0.state.lock();
        if state
            .reports
            .get(device)
            .is_some_and(|(known, _)| *known <= head)
        {
            state.reports.remove(device);
        }
    }
}

/// An open stream of a device.
pub struct Presence {
    activity: DeviceActivity,
    device: DeviceKey,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presence")
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut state = self.activity.0.state.lock();
        let Some(streams) = state.live.get_mut(&self.device) else {
            return;
        };
        *streams -= 1;
        if *streams > 0 {
            return;
        }
        state.live.remove(&self.device);
        if state.users.contains_key(&self.device.0) {
            state.arrived.remove(&self.device);
            state.departed.insert(self.device.clone());
            self.activity.0.woken.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::testing::head;

    fn ann() -> UserId {
        UserId::new("ann").unwrap()
    }

    fn activity() -> DeviceActivity {
        let activity = DeviceActivity::default();
        activity.enable();
        activity.add_users([ann()]);
        activity
    }

    #[test]
    fn a_user_without_an_endpoint_leaves_no_trace() {
        let (activity, bob) = (activity(), UserId::new("bob").unwrap());
        activity.note_head(&bob, head(1, 2));
        activity.report(&bob, "phone", head(1, 2));
        let stream = activity.attend(&bob, "phone");
        drop(stream);
        assert_eq!(activity.take_changed(), []);
        assert_eq!(activity.unsaved(), []);
        assert!(activity.take_arrived(true).is_empty() && activity.take_departed().is_empty());
        let state = activity.0.state.lock();
        assert_eq!((state.live.len(), state.users.len()), (0, 1));
    }

    #[test]
    fn a_head_counts_once_and_only_if_it_is_greater() {
        let activity = activity();
        for (head, changed) in [
            (head(1, 2), true),
            (head(1, 2), false),
            (head(1, 1), false),
            (head(2, 1), true),
        ] {
            activity.note_head(&ann(), head);
            assert_eq!(!activity.take_changed().is_empty(), changed, "{head}");
        }
    }

    #[test]
    fn a_device_is_live_while_one_of_its_streams_is_open() {
        let activity = activity();
        let (one, two) = (
            activity.attend(&ann(), "phone"),
            activity.attend(&ann(), "phone"),
        );
        assert_eq!(activity.take_arrived(false).len(), 1);
        drop(one);
        assert!(activity.is_live(&ann(), "phone") && !activity.is_live(&ann(), "laptop"));
        assert_eq!(activity.take_departed(), []);
        assert_eq!(activity.take_arrived(true).len(), 1);
        drop(two);
        assert!(!activity.is_live(&ann(), "phone"));
        assert_eq!(activity.take_departed().len(), 1);
    }

    #[test]
    fn the_newest_report_of_a_device_stays_until_it_is_saved() {
        let (activity, phone) = (activity(), (ann(), "phone".into()));
        for version in [2, 5, 3] {
            activity.report(&ann(), "phone", head(1, version));
        }
        assert_eq!(activity.unsaved(), [(phone.clone(), head(1, 5))]);
        activity.report(&ann(), "phone", head(1, 6));
        activity.saved(&phone, head(1, 5));
        assert_eq!(activity.reported(&ann(), "phone"), Some(head(1, 6)));
        activity.saved(&phone, head(1, 6));
        assert_eq!(activity.unsaved(), []);
    }
}
