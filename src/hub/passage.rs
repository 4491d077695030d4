//! [`Passage`]: a change on its way through this node, from its notice to the devices that show it. Only for measurements.
//!
//! **Invariant:** a passage exists only for the newest change of a watched user, so an idle connection has none.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, OnceLock},
};

use metrics::{Histogram, histogram};
use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::{
    broker::{BROKERS, Commit},
    trace::{Span, TraceParent, now, record},
};

/// The transports of streams, the values of the label `transport`.
pub const TRANSPORTS: [&str; 4] = ["websocket", "sse", "multipart", "events"];

/// Devices of one user whose reports are distinguished. A user has few streams.
const MAX_DEVICES: usize = 64;

/// Histograms by transport and broker, registered at their first use.
struct Histograms([[OnceLock<Histogram>; BROKERS.len()]; TRANSPORTS.len()]);

static EVENTS: Histograms =
    Histograms([const { [const { OnceLock::new() }; BROKERS.len()] }; TRANSPORTS.len()]);
static APPLIED: Histograms =
    Histograms([const { [const { OnceLock::new() }; BROKERS.len()] }; TRANSPORTS.len()]);

impl Histograms {
    fn record(
        &self,
        (transport, broker): (&'static str, &'static str),
        since: OffsetDateTime,
        at: OffsetDateTime,
        register: fn(&'static str, &'static str) -> Histogram,
    ) {
        let place = |all: &[&str], name: &str| all.iter().position(|it| *it == name);
        let (Some(row), Some(column)) = (place(&TRANSPORTS, transport), place(&BROKERS, broker))
        else {
            return;
        };
        let histogram = self.0[row][column].get_or_init(|| register(transport, broker));
        histogram.record((at - since).as_seconds_f64().max(0.0));
    }
}

/// A change on its way through this node.
#[derive(Debug)]
pub struct Passage {
    commit: Commit,
    received: OffsetDateTime,
    /// The position of the notice in its trace.
    trace: Option<TraceParent>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    delivered: Option<Delivered>,
    /// Hashes of the devices that reported to have applied the change.
    devices: Vec<u64>,
}

/// The last stream that delivered the change.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    transport: &'static str,
    at: OffsetDateTime,
    trace: Option<TraceParent>,
}

impl Passage {
    /// Records that the notice of a commit arrived.
    pub(super) fn new(commit: Commit) -> Self {
        let received = now();
        let trace = commit.trace.map(|parent| {
            record(Span {
                broker: Some(commit.broker),
                ..Span::of(parent, "notice", commit.at, received)
            })
        });
        Self {
            commit,
            received,
            trace,
            state: Mutex::default(),
        }
    }

    /// Returns the position of the change in its trace, for the client.
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.trace
    }

    /// Records that a stream takes the event.
    pub fn deliver(self: &Arc<Self>, transport: &'static str) -> Delivery {
        let taken = now();
        let key = (transport, self.commit.broker);
        EVENTS.record(key, self.commit.at, taken, |transport, broker| {
            histogram!("library_sync_commit_to_event_seconds", "transport" => transport, "broker" => broker)
        });
        let trace = self.trace.map(|parent| {
            record(Span {
                transport: Some(transport),
                ..Span::of(parent, "hub", self.received, taken)
            })
        });
        let delivered = Delivered {
            transport,
            at: taken,
            trace,
        };
        self.state.lock().delivered = Some(delivered);
        Delivery {
            passage: Arc::clone(self),
            delivered,
        }
    }

    /// Records that a device reports to show the change. Counts once for each device.
    pub fn applied(&self, device: &str) {
        let mut hasher = DefaultHasher::new();
        device.hash(&mut hasher);
        let device = hasher.finish();
        let delivered = {
            let mut state = self.state.lock();
            if state.devices.len() >= MAX_DEVICES || state.devices.contains(&device) {
                return;
            }
            state.devices.push(device);
            state.delivered
        };
        let (Some(delivered), at) = (delivered, now()) else {
            return;
        };
        let key = (delivered.transport, self.commit.broker);
        APPLIED.record(key, self.commit.at, at, |transport, broker| {
            histogram!("library_sync_commit_to_applied_seconds", "transport" => transport, "broker" => broker)
        });
        if let Some(parent) = delivered.trace {
            record(Span {
                transport: Some(delivered.transport),
                ..Span::of(parent, "applied", delivered.at, at)
            });
        }
    }
}

/// An event that is being written to its connection.
pub struct Delivery {
    passage: Arc<Passage>,
    delivered: Delivered,
}

impl Delivery {
    /// Records that the connection has taken the event.
    pub fn done(self) {
        let Some(parent) = self.delivered.trace else {
            return;
        };
        let written = now();
        let position = record(Span {
            transport: Some(self.delivered.transport),
            ..Span::of(parent, "socket", self.delivered.at, written)
        });
        let delivered = Delivered {
            at: written,
            trace: Some(position),
            ..self.delivered
        };
        self.passage.state.lock().delivered = Some(delivered);
    }
}
