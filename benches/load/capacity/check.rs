//! Does the model's arithmetic hold? An hour of a small fleet is played against a real node within minutes, and what it
//! cost is compared with what the costs of single events predict.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::{
    costs::{Cost, Costs, Libraries, Pair, Reading, open},
    model::DEVICES_PER_USER,
    simulation::{Event, Simulation},
};
use crate::http::Connection;

/// The hour that is played: eight in the evening, UTC.
const HOUR: std::ops::Range<u64> = 19 * 3_600..20 * 3_600;

/// An event of a device, and its time since the beginning of the hour in s.
type Trace = Vec<Vec<(u64, Event)>>;

/// Predicted and measured cost of the hour.
pub struct Check {
    pub predicted: Cost,
    pub measured: Cost,
    pub events: usize,
}

/// Plays the hour within `lasts`.
pub async fn check(
    program: &std::path::Path,
    costs: &Costs,
    devices: usize,
    lasts: Duration,
    seed: u64,
) -> Check {
    let trace = trace(devices, seed);
    let pair = Pair::start(program, 2 * devices, &[]).await;
    let users = devices.div_ceil(DEVICES_PER_USER);
    let libraries = Arc::new(Libraries::make(&pair.node, users).await);
    let versions: Arc<Vec<_>> = Arc::new((0..users).map(|_| AtomicU64::new(1)).collect());

    let events = trace.iter().map(Vec::len).sum();
    let predicted = predicted(costs, &trace, lasts);
    let before = Reading::of(&pair).await;
    let began = Instant::now();
    let mut playing = JoinSet::new();
    for (device, events) in trace.into_iter().enumerate() {
        let player = Player {
            port: pair.node.port,
            user: device / DEVICES_PER_USER,
            libraries: Arc::clone(&libraries),
            versions: Arc::clone(&versions),
            requests: None,
            stream: None,
        };
        playing.spawn(player.play(events, began, lasts));
    }
    while let Some(played) = playing.join_next().await {
        played.unwrap();
    }
    let measured = before.each(&pair, 1, Cost::default()).await;
    Check {
        predicted,
        measured,
        events,
    }
}

/// The events of each device in the hour. A device whose stream is open when it begins opens it then.
fn trace(devices: usize, seed: u64) -> Trace {
    let mut fleet = Simulation::new(devices, 1, seed);
    let mut open = vec![false; devices];
    let mut trace = vec![Vec::new(); devices];
    for second in 0..HOUR.end {
        if second == HOUR.start {
            for (device, _) in open.iter().enumerate().filter(|(_, open)| **open) {
                trace[device].push((0, Event::Open));
            }
        }
        fleet.second(&mut |event, device| {
            match event {
                Event::Open => open[device] = true,
                Event::Close => open[device] = false,
                _ => {}
            }
            if second >= HOUR.start {
                trace[device].push((second - HOUR.start, event));
            }
        });
    }
    trace
}

/// What the costs of single events add up to.
fn predicted(costs: &Costs, trace: &Trace, lasts: Duration) -> Cost {
    let mut total = Cost::default();
    let mut add = |cost: Cost, times: f64| {
        total.statements += cost.statements * times;
        total.node += cost.node * times;
        total.database += cost.database * times;
    };
    let length = (HOUR.end - HOUR.start) as f64;
    for events in trace {
        let mut opened = None;
        let end = (HOUR.end - HOUR.start, Event::Close);
        for (second, event) in events.iter().copied().chain([end]) {
            add(costs.of(event), 1.0);
            match event {
                Event::Open => opened = Some(second),
                Event::Close => {
                    // Heartbeats are not compressed: there are as many as the real time has room for.
                    let open = second - opened.take().unwrap_or(second);
                    add(
                        costs.heartbeat,
                        open as f64 / length * lasts.as_secs_f64() / 30.0,
                    );
                }
                _ => {}
            }
        }
    }
    add(costs.idle, lasts.as_secs_f64());
    total
}

/// A device that does what the trace says.
struct Player {
    port: u16,
    user: usize,
    libraries: Arc<Libraries>,
    versions: Arc<Vec<AtomicU64>>,
    requests: Option<Connection>,
    stream: Option<Connection>,
}

impl Player {
    async fn play(mut self, events: Vec<(u64, Event)>, began: Instant, lasts: Duration) {
        let length = (HOUR.end - HOUR.start) as f64;
        for (second, event) in events {
            let at = began + lasts.mul_f64(second as f64 / length);
            tokio::time::sleep_until(at.into()).await;
            self.step(event).await;
        }
        tokio::time::sleep_until((began + lasts).into()).await;
    }

    async fn step(&mut self, event: Event) {
        let version = &self.versions[self.user];
        match event {
            Event::Open => {
                let token = &self.libraries.tokens[self.user];
                self.stream = Some(open(self.port, token).await);
            }
            Event::Close => {
                self.stream = None;
                self.requests = None;
            }
            Event::Check => self.ask(self.libraries.check(self.user)).await,
            Event::Change => {
                let chapter = version.fetch_add(1, Ordering::Relaxed);
                let chapter = usize::try_from(chapter).unwrap();
                self.ask(self.libraries.change(self.user, chapter)).await;
            }
            Event::Delta => {
                let since = version.load(Ordering::Relaxed).saturating_sub(1).max(1);
                self.ask(self.libraries.delta(self.user, since)).await;
            }
            // The node delivers by itself, and sends no push messages here.
            Event::Deliver | Event::Push => {}
        }
    }

    async fn ask(&mut self, request: String) {
        if self.requests.is_none() {
            self.requests = Some(Connection::open(self.port).await);
        }
        if let Some(requests) = &mut self.requests {
            requests.ask(&request).await;
        }
    }
}
