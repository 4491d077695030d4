//! [`OpenStreams`]: the open streams of each user, for limits and for their ends.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use time::OffsetDateTime;

use super::{end_reason::EndReason, end_signal::EndSignal};
use crate::{auth::Viewer, unix_time, version::UserId};

/// The open streams of each user. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    /// Without empty entries.
    per_user: HashMap<UserId, UserStreams>,
    total: usize,
    /// Sequence number of the last stream.
    last_number: u64,
}

#[derive(Debug, Default)]
struct UserStreams {
    open: Vec<OpenStream>,
    /// The newest known request to end streams of one of the user's devices.
    ended_at: i64,
}

#[derive(Debug)]
struct OpenStream {
    number: u64,
    /// When the credential was issued. A credential that does not say so counts as older than any sign-out.
    issued_at: i64,
    opened_at: i64,
    device: Option<Arc<str>>,
    end: Arc<EndSignal>,
}

impl OpenStreams {
    /// Returns the number of streams.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Returns the number of the user's streams.
    pub fn count(&self, user: &UserId) -> usize {
        self.per_user.get(user).map_or(0, |mine| mine.open.len())
    }

    /// Returns the number of users with a stream.
    #[cfg(test)]
    pub fn users(&self) -> usize {
        self.per_user.len()
    }

    /// Adds a stream and returns its number.
    pub fn add(&mut self, viewer: &Viewer, end: &Arc<EndSignal>) -> u64 {
        self.total += 1;
        self.last_number += 1;
        let mine = self.per_user.entry(viewer.user.clone()).or_default();
        // Most users have one stream.
        mine.open.reserve_exact(1);
        mine.open.push(OpenStream {
            number: self.last_number,
            issued_at: viewer.issued_at.map_or(i64::MIN, unix_time::millis),
            opened_at: unix_time::millis(OffsetDateTime::now_utc()),
            device: None,
            end: Arc::clone(end),
        });
        self.last_number
    }

    /// Returns the numbers and the signals of all streams.
    pub fn ends(&self) -> Vec<(u64, Arc<EndSignal>)> {
        let open = self.per_user.values().flat_map(|mine| &mine.open);
        open.map(|stream| (stream.number, Arc::clone(&stream.end)))
            .collect()
    }

    /// Removes a stream.
    pub fn remove(&mut self, user: &UserId, number: u64) {
        self.total -= 1;
        if let Entry::Occupied(mut mine) = self.per_user.entry(user.clone()) {
            mine.get_mut().open.retain(|stream| stream.number != number);
            if mine.get().open.is_empty() {
                mine.remove();
            }
        }
    }

    /// Sets the device of a stream.
    pub fn name_device(&mut self, user: &UserId, number: u64, device: &str) {
        let mine = self.per_user.get_mut(user).into_iter();
        for stream in mine.flat_map(|mine| &mut mine.open) {
            if stream.number == number {
                stream.device = Some(device.into());
            }
        }
    }

    /// Ends the user's streams whose credential was issued before this time.
    pub fn sign_out(&self, user: &UserId, before: i64) {
        self.end(user, EndReason::SignedOut, |stream| {
            stream.issued_at < before
        });
    }

    /// Returns whether the user has a stream, and a request of this time to end some is new.
    pub fn is_new(&mut self, user: &UserId, ended_at: i64) -> bool {
        let Some(mine) = self.per_user.get_mut(user) else {
            return false;
        };
        let is_new = mine.ended_at < ended_at;
        mine.ended_at = mine.ended_at.max(ended_at);
        is_new
    }

    /// Ends the streams of a device that were opened before this time.
    pub fn end_device(&self, user: &UserId, device: &str, opened_before: i64) {
        self.end(user, EndReason::Ended, |stream| {
            stream.device.as_deref() == Some(device) && stream.opened_at < opened_before
        });
    }

    fn end(&self, user: &UserId, reason: EndReason, is_meant: impl Fn(&OpenStream) -> bool) {
        let mine = self.per_user.get(user).into_iter();
        for stream in mine.flat_map(|mine| &mine.open) {
            if is_meant(stream) {
                stream.end.give(reason);
            }
        }
    }
}
