//! Every device of a fleet, second by second.
//!
//! A device is asleep or open. Each waits for one event: it wakes, reads a chapter, loses its connection, or goes back to
//! sleep. The times between are drawn from the [`model`](super::model). All of them are exponential, so the next event can
//! be drawn anew after each, and a device needs 7 bytes: ten million of them fit in memory, and nothing is scaled up from
//! a sample.
//!
//! **Invariant:** a device is in exactly one list of `wheel`, and in at most one of `reopening`.

use std::ops::Range;

use super::model;

/// What a device does that costs a server something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Opens a stream. Its first event has the head.
    Open,
    /// Its stream ends.
    Close,
    /// Asks for the version, because the app came to the front.
    Check,
    /// Reads a chapter: one mutation.
    Change,
    /// Receives the event of a change.
    Deliver,
    /// Loads what changed.
    Delta,
    /// Is asleep, and gets a push message.
    Push,
}

/// Longer than any time that is drawn in practice.
const HORIZON: u64 = 1 << 20;
/// Longer than a reconnect and a drain.
const REOPENING: u64 = 32;
const NONE: u32 = u32::MAX;

const OPEN: u8 = 1;
/// Its stream is lost, and it is about to reconnect.
const AWAY: u8 = 2;
/// Its copy is older than the library.
const BEHIND: u8 = 4;

pub struct Simulation {
    now: u64,
    random: fastrand::Rng,
    /// The first device of each second's list.
    wheel: Vec<u32>,
    /// The next device of the same list.
    next: Vec<u32>,
    state: Vec<u8>,
    node: Vec<u16>,
    reopening: Vec<Vec<u32>>,
    nodes: u16,
}

impl Simulation {
    /// A fleet that is asleep at midnight.
    pub fn new(devices: usize, nodes: u16, seed: u64) -> Self {
        assert!(devices < NONE as usize, "at most 4 billion devices");
        let mut fleet = Self {
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            wheel: vec![NONE; to_index(HORIZON)],
            next: vec![NONE; devices],
            state: vec![0; devices],
            node: vec![0; devices],
            reopening: vec![Vec::new(); to_index(REOPENING)],
            nodes,
        };
        for device in 0..devices {
            fleet.schedule(device);
        }
        fleet
    }

    /// Runs one second. Calls `sink` with each event of it.
    pub fn second(&mut self, sink: &mut impl FnMut(Event, usize)) {
        let slot = to_index(self.now % REOPENING);
        for device in std::mem::take(&mut self.reopening[slot]) {
            self.reopen(device as usize, sink);
        }
        let slot = to_index(self.now % HORIZON);
        let mut device = std::mem::replace(&mut self.wheel[slot], NONE);
        while device != NONE {
            let following = self.next[device as usize];
            self.step(device as usize, sink);
            self.schedule(device as usize);
            device = following;
        }
        self.restart(sink);
        self.now += 1;
    }

    /// The event of a device whose time has come.
    fn step(&mut self, device: usize, sink: &mut impl FnMut(Event, usize)) {
        let kind = model::kind(device);
        if self.state[device] & OPEN == 0 {
            let busy = model::use_at(device / model::DEVICES_PER_USER, self.now);
            if self.random.f64() < busy {
                self.wake(device, sink);
            }
            return;
        }
        let [ends, loses, reads] = open_rates(kind);
        let drawn = self.random.f64() * (ends + loses + reads);
        if drawn < ends {
            if self.state[device] & AWAY == 0 {
                sink(Event::Close, device);
            }
            self.state[device] &= BEHIND;
        } else if drawn < ends + loses {
            self.lose(device, 0.0, sink);
        } else {
            self.change(device, sink);
        }
    }

    fn wake(&mut self, device: usize, sink: &mut impl FnMut(Event, usize)) {
        self.state[device] |= OPEN;
        sink(Event::Check, device);
        self.open(device, sink);
    }

    fn open(&mut self, device: usize, sink: &mut impl FnMut(Event, usize)) {
        self.node[device] = self.random.u16(..self.nodes);
        sink(Event::Open, device);
        if self.state[device] & BEHIND != 0 {
            self.state[device] &= !BEHIND;
            sink(Event::Delta, device);
        }
    }

    /// The stream of a device ends after at most `within`, and it reconnects.
    fn lose(&mut self, device: usize, within: f64, sink: &mut impl FnMut(Event, usize)) {
        if self.state[device] & (OPEN | AWAY) == OPEN {
            self.state[device] |= AWAY;
            sink(Event::Close, device);
            let wait = self.random.f64() * (within + model::RECONNECT);
            let slot = to_index((self.now + 1 + seconds(wait)) % REOPENING);
            self.reopening[slot].push(u32::try_from(device).unwrap());
        }
    }

    fn reopen(&mut self, device: usize, sink: &mut impl FnMut(Event, usize)) {
        if self.state[device] & AWAY != 0 {
            self.state[device] &= !AWAY;
            self.open(device, sink);
        }
    }

    /// A change on one device, and what the others of its user do about it.
    fn change(&mut self, device: usize, sink: &mut impl FnMut(Event, usize)) {
        sink(Event::Change, device);
        for other in self.devices_of(device / model::DEVICES_PER_USER) {
            let state = self.state[other];
            if state & (OPEN | AWAY) == OPEN {
                sink(Event::Deliver, other);
                if other != device {
                    sink(Event::Delta, other);
                }
            } else if other != device && state & BEHIND == 0 {
                self.state[other] |= BEHIND;
                if state & OPEN == 0 && self.random.u32(..10) < model::PUSH_OF_TEN {
                    sink(Event::Push, other);
                }
            }
        }
    }

    fn devices_of(&self, user: usize) -> Range<usize> {
        let first = user * model::DEVICES_PER_USER;
        first..(first + model::DEVICES_PER_USER).min(self.state.len())
    }

    /// A rolling restart: one node at a time ends its streams.
    fn restart(&mut self, sink: &mut impl FnMut(Event, usize)) {
        let every = 7 * 86_400 / model::RESTARTS_PER_WEEK;
        // At noon UTC, the first one after half a period.
        let since = (self.now + every / 2) % every;
        let node = since / model::RESTART_GAP;
        if self.now < every / 2
            || !since.is_multiple_of(model::RESTART_GAP)
            || node >= self.nodes.into()
        {
            return;
        }
        for device in 0..self.state.len() {
            if u64::from(self.node[device]) == node {
                self.lose(device, model::DRAIN, sink);
            }
        }
    }

    /// Draws the time of the device's next event.
    fn schedule(&mut self, device: usize) {
        let kind = model::kind(device);
        let rate = if self.state[device] & OPEN == 0 {
            // The rate of the busiest hour. At other hours, `step` lets events pass.
            kind.sessions / 86_400.0 / model::mean_use()
        } else {
            open_rates(kind).iter().sum()
        };
        let wait = -(1.0 - self.random.f64()).ln() / rate;
        let at = self.now + 1 + seconds(wait).min(HORIZON - 2);
        let slot = to_index(at % HORIZON);
        let first = u32::try_from(device).unwrap();
        self.next[device] = std::mem::replace(&mut self.wheel[slot], first);
    }
}

/// How often an open device goes to sleep, loses its connection, and reads a chapter, in events a second.
fn open_rates(kind: &model::Kind) -> [f64; 3] {
    [
        1.0 / kind.session,
        1.0 / kind.connection,
        1.0 / model::CHAPTER,
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are not negative and far below 2^52"
)]
fn seconds(time: f64) -> u64 {
    time as u64
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).unwrap()
}
