//! Changes at a constant rate among many idle streams: how long until the last device of the user has the event.
//!
//! The time of a change begins when it is due. So a server that cannot keep up with the rate cannot hide its queue.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    Args,
    event_stream::{Crowd, EventStream, open_all, quantile},
    http::{Connection, ask_all, get, per_second, version},
    mutations::create_tag,
    node::{Node, token},
    support::{deadline::soon, servers::Server},
};

/// Connections that send the changes in turn.
const WRITERS: usize = 64;

/// The size of the load.
#[derive(clap::Args)]
pub struct Mixed {
    /// Users.
    #[arg(long, default_value_t = 5_000)]
    users: usize,
    /// Event streams of each user.
    #[arg(long, default_value_t = 3)]
    devices: usize,
    /// Changes per second, of users at random.
    #[arg(long, default_value_t = 300)]
    rate: u32,
}

/// A change that was answered.
struct Change {
    user: usize,
    version: i64,
    due: Instant,
    answered: Instant,
}

/// What the streams of all users received, with their first version.
struct Devices {
    first: Vec<i64>,
    seen: Vec<Vec<(i64, Instant)>>,
    crowd: Crowd,
}

pub async fn measure(args: &Args, mixed: &Mixed) {
    let lasts = Duration::from_secs(args.seconds.unwrap_or(30));
    let postgres = Server::postgres().await;
    let tokens: Arc<Vec<_>> = Arc::new((0..mixed.users).map(token).collect());
    println!(
        "| program | round | streams | changes/s | response p50, ms | p99 | last event p50, ms | p99 | most |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for round in 1..=args.rounds {
        for (number, program) in args.programs() {
            let count = mixed.users * mixed.devices;
            let node = Node::start(program, &postgres.url(), count + WRITERS).await;
            let run = format!("{number}-{round}");
            // The first change of a user counts their library.
            ask_all(node.port, mixed.users, |user| {
                create_tag(&format!("{run}-first"), &tokens[user])
            })
            .await;
            let mut devices = Devices::open(&node, mixed, &tokens).await;
            let changes = tokio::spawn(write(
                node.port,
                mixed.rate,
                lasts,
                run,
                Arc::clone(&tokens),
            ));
            let changes = devices.follow(changes).await;
            devices.until_final(&changes, mixed.devices).await;
            let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
            let mut answers: Vec<_> = changes.iter().map(Change::answer).collect();
            let event = |change: &Change| devices.last_event(change, mixed.devices);
            let mut events: Vec<_> = changes.iter().map(event).collect();
            println!(
                "| {number} | {round} | {count} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
                per_second(changes.len(), lasts),
                ms(quantile(&mut answers, 0.5)),
                ms(quantile(&mut answers, 0.99)),
                ms(quantile(&mut events, 0.5)),
                ms(quantile(&mut events, 0.99)),
                ms(quantile(&mut events, 1.0)),
            );
        }
    }
}

/// Sends changes when they are due. Those that are not sent when the time is over are omitted.
async fn write(
    port: u16,
    rate: u32,
    lasts: Duration,
    run: String,
    tokens: Arc<Vec<String>>,
) -> Vec<Change> {
    let began = Instant::now();
    let (run, mut writing) = (Arc::new(run), Vec::new());
    for writer in 0..WRITERS {
        let (run, tokens) = (Arc::clone(&run), Arc::clone(&tokens));
        writing.push(tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer as u64);
            let mut connection = Connection::open(port).await;
            let mut changes = Vec::new();
            for nth in (writer..).step_by(WRITERS) {
                let due = began + Duration::from_secs(1) * u32::try_from(nth).unwrap() / rate;
                if due.max(Instant::now()) >= began + lasts {
                    break;
                }
                tokio::time::sleep_until(due).await;
                let user = random.usize(..tokens.len());
                let change = create_tag(&format!("{run}-{nth}"), &tokens[user]);
                let body = connection.ask(&change).await;
                changes.push(Change {
                    user,
                    version: version(&body),
                    due,
                    answered: Instant::now(),
                });
            }
            changes
        }));
    }
    let mut changes = Vec::new();
    for written in writing {
        changes.extend(written.await.unwrap());
    }
    changes
}

impl Change {
    fn answer(&self) -> Duration {
        self.answered - self.due
    }
}

impl Devices {
    /// Opens the streams. Those of a user have consecutive numbers.
    async fn open(node: &Node, mixed: &Mixed, tokens: &Arc<Vec<String>>) -> Self {
        let (port, devices) = (node.port, mixed.devices);
        let streams = open_all(mixed.users * devices, |number| {
            let tokens = Arc::clone(tokens);
            async move {
                let request = get("/api/library-version-events", &tokens[number / devices]);
                EventStream::open_at(number, port, &request).await
            }
        });
        let (streams, first): (Vec<_>, Vec<_>) = streams.await.into_iter().unzip();
        Self {
            seen: vec![Vec::new(); first.len()],
            first,
            crowd: Crowd::follow(streams),
        }
    }

    /// Notes what the streams receive, until the changes are made.
    async fn follow(&mut self, changes: tokio::task::JoinHandle<Vec<Change>>) -> Vec<Change> {
        let mut changes = std::pin::pin!(changes);
        loop {
            tokio::select! {
                changes = &mut changes => return changes.unwrap(),
                seen = self.crowd.next() => self.seen[seen.stream].push((seen.version, seen.at)),
            }
        }
    }

    /// Waits until each stream has the final version of its user, and panics if it has another one.
    async fn until_final(&mut self, changes: &[Change], devices: usize) {
        let mut last = self.first.clone();
        for change in changes {
            for last in &mut last[change.user * devices..(change.user + 1) * devices] {
                *last = change.version.max(*last);
            }
        }
        soon("each stream has the final version", async {
            let current = |of: &Self, number: usize| {
                of.seen[number]
                    .last()
                    .map_or(of.first[number], |seen| seen.0)
            };
            let numbers = 0..last.len();
            let mut missing = numbers.filter(|at| current(self, *at) < last[*at]).count();
            while missing > 0 {
                let seen = self.crowd.next().await;
                let before = current(self, seen.stream);
                self.seen[seen.stream].push((seen.version, seen.at));
                let arrived = before < last[seen.stream] && seen.version >= last[seen.stream];
                missing -= usize::from(arrived);
            }
            for (number, last) in last.iter().enumerate() {
                assert_eq!(current(self, number), *last, "stream {number}");
            }
        })
        .await;
    }

    /// The time until the last stream of the user received the change, or a later one.
    fn last_event(&self, change: &Change, devices: usize) -> Duration {
        let streams = &self.seen[change.user * devices..(change.user + 1) * devices];
        let times = streams.iter().map(|seen| {
            // Each stream has the final version.
            let found = seen.iter().find(|(version, _)| *version >= change.version);
            found.unwrap().1 - change.due
        });
        times.max().unwrap()
    }
}
