//! Random schedules on two nodes, one of which is killed: changes, reports, streams, renewed subscriptions, and every answer
//! of the push service in any order.
//!
//! By hand: `LIBRARY_SYNC_TEST_PUSH_SCHEDULES=1000 scripts/test whatever_happens_each_sleeping_device`. A failure prints
//! its seed, which `LIBRARY_SYNC_TEST_SEED` repeats.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures_util::future::join_all;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    push::fake_push_service::{Answer, FakePushService, Message, REGISTER, input},
    support::{
        servers::free_port,
        test_app::{Db, TestDatabase, TestProcess, http_client, token},
    },
};

/// Schedules that run at the same time.
const TOGETHER: usize = 30;

/// Steps of a schedule.
const STEPS: usize = 14;

/// How long a report or a stream may take to be known to every node: it is stored within about a second.
const STORED: Duration = Duration::from_millis(2_500);

const LEASE: Duration = Duration::from_secs(6);

/// How long everything may take to be sent at the end.
const QUIET: Duration = Duration::from_secs(90);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_each_sleeping_device_is_sent_the_newest_version_once() {
    let schedules = number("LIBRARY_SYNC_TEST_PUSH_SCHEDULES").unwrap_or(TOGETHER as u64);
    let seed = number("LIBRARY_SYNC_TEST_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mut messages = 0;
    for round in 0..schedules.div_ceil(TOGETHER as u64) {
        let count = TOGETHER.min(usize::try_from(schedules).unwrap());
        messages += run(seed + round, count).await;
    }
    assert!(messages > 0);
}

/// Runs schedules at the same time. Returns the number of messages.
async fn run(seed: u64, count: usize) -> usize {
    println!("LIBRARY_SYNC_TEST_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let cluster = Cluster::start().await;
    let seeds: Vec<_> = (0..count).map(|_| rng.u64(..)).collect();
    let mut schedules: Vec<_> = seeds
        .into_iter()
        .enumerate()
        .map(|(number, seed)| Schedule::new(&cluster, number, seed))
        .collect();
    let done = AtomicBool::new(false);
    let steps = async {
        join_all(schedules.iter_mut().map(Schedule::run)).await;
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(steps, cluster.kill_nodes(&mut rng, &done));
    cluster.until_quiet().await;
    let messages = cluster.service.messages();
    for schedule in &schedules {
        schedule.check(&messages, seed);
    }
    cluster.service.assert_no_violation();
    messages.len()
}

/// Two nodes on one database, and the push service.
struct Cluster {
    service: FakePushService,
    database: TestDatabase,
    connection: DatabaseConnection,
    flags: Vec<String>,
    ports: [u16; 2],
    nodes: [Mutex<Option<TestProcess>>; 2],
    /// When a node was killed.
    kills: Mutex<Vec<(usize, Instant)>>,
    http: reqwest::Client,
}

impl Cluster {
    async fn start() -> Self {
        let service = FakePushService::start_slow(Duration::from_millis(400)).await;
        let database = TestDatabase::new(Db::Postgres).await;
        let lease = format!("{}s", LEASE.as_secs());
        let fast = [
            "--push-delay",
            "300ms",
            "--push-sweep",
            "1s",
            "--push-lease",
            &lease,
            "--push-retry",
            "1s",
            "--max-user-rate",
            "0",
            "--max-address-rate",
            "0",
            "--log",
            "error",
        ];
        let cluster = Self {
            flags: service.flags(&fast),
            connection: database.connect().await,
            service,
            database,
            ports: [free_port(), free_port()],
            nodes: [Mutex::default(), Mutex::default()],
            kills: Mutex::default(),
            http: http_client(),
        };
        for node in [0, 1] {
            cluster.start_node(node).await;
        }
        cluster
    }

    async fn start_node(&self, node: usize) {
        let flags: Vec<_> = self.flags.iter().map(String::as_str).collect();
        let process = TestProcess::serve_at(self.ports[node], &self.database.url, &flags).await;
        *self.nodes[node].lock() = Some(process);
    }

    /// Kills a node and starts it again, until the schedules are done.
    async fn kill_nodes(&self, rng: &mut Rng, done: &AtomicBool) {
        while !done.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(rng.u64(500..4_000))).await;
            let node = rng.usize(..2);
            self.kills.lock().push((node, Instant::now()));
            // Dropping the process kills it.
            drop(self.nodes[node].lock().take());
            self.kills.lock().push((node, Instant::now()));
            sleep(Duration::from_millis(rng.u64(100..1_500))).await;
            self.start_node(node).await;
        }
    }

    /// Whether a node, or this one, was killed between two times.
    fn was_killed(&self, node: Option<usize>, from: Instant, to: Instant) -> bool {
        let kills = self.kills.lock();
        let mut kills = kills.iter();
        kills
            .any(|(killed, at)| node.is_none_or(|node| node == *killed) && (from..=to).contains(at))
    }

    /// Sends a request to a node that answers, and returns the node and its answer.
    async fn send(
        &self,
        mut node: usize,
        user: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (usize, Value) {
        loop {
            let url = format!("http://127.0.0.1:{}/graphql", self.ports[node]);
            let mut request = self.http.post(url).bearer_auth(token(user)).json(body);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Ok(response) = request.send().await
                && let Ok(answer) = response.json::<Value>().await
                && answer["errors"].is_null()
            {
                return (node, answer["data"].clone());
            }
            sleep(Duration::from_millis(50)).await;
            node = 1 - node;
        }
    }

    async fn execute(&self, sql: &str) {
        self.connection.execute_unprepared(sql).await.unwrap();
    }

    /// Waits until nothing is due. What failed is retried at once.
    async fn until_quiet(&self) {
        self.service.forget_answers();
        let count = "SELECT count(*) FROM topaz_push_endpoint e JOIN topaz_user u ON u.subject = e.user_id \
            WHERE (e.known_epoch, e.known_version) < (u.library_epoch, u.library_version)";
        let deadline = Instant::now() + QUIET;
        loop {
            self.execute("UPDATE topaz_push_endpoint SET due_at = 1 WHERE failures > 0")
                .await;
            let statement = Statement::from_string(sea_orm::DbBackend::Postgres, count);
            let row = self
                .connection
                .query_one_raw(statement)
                .await
                .unwrap()
                .unwrap();
            let left: i64 = row.try_get_by_index(0).unwrap();
            if left == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{left} endpoints are still due");
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A device of a schedule, and what happened to it.
struct Device {
    id: String,
    /// Its subscriptions, the newest last, with the version at their registration.
    subscriptions: Vec<(String, i64)>,
    reports: Vec<Report>,
    streams: Vec<Stream>,
    open: Option<(usize, Instant, reqwest::Response)>,
}

struct Report {
    at: Instant,
    version: i64,
    node: usize,
}

struct Stream {
    node: usize,
    from: Instant,
    to: Instant,
}

/// One user's schedule.
struct Schedule<'c> {
    cluster: &'c Cluster,
    rng: Rng,
    user: String,
    epoch: String,
    version: i64,
    /// The device that made each version after the first; empty for none.
    writes: Vec<String>,
    devices: Vec<Device>,
}

impl<'c> Schedule<'c> {
    fn new(cluster: &'c Cluster, number: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let user = format!("user{number}");
        let devices = (0..rng.usize(1..4)).map(|n| Device {
            id: format!("{user}-{n}"),
            subscriptions: Vec::new(),
            reports: Vec::new(),
            streams: Vec::new(),
            open: None,
        });
        Self {
            devices: devices.collect(),
            cluster,
            user,
            rng,
            epoch: String::new(),
            version: 1,
            writes: Vec::new(),
        }
    }

    async fn run(&mut self) {
        let body = json!({"query": "{ library { head } }"});
        let (_, answer) = self
            .cluster
            .send(self.rng.usize(..2), &self.user, &[], &body)
            .await;
        let head = answer["library"]["head"].as_str().unwrap();
        self.epoch = head.split('.').next().unwrap().to_owned();
        for device in 0..self.devices.len() {
            self.register(device).await;
        }
        for _ in 0..STEPS {
            let device = self.rng.usize(..self.devices.len());
            match self.rng.u8(..12) {
                0..=3 => self.change(device).await,
                4..=5 => self.report(device).await,
                6 => self.open(device).await,
                7 => self.close(device),
                8..=9 => self.set_answers(device),
                _ => {
                    if self.is_gone(device) {
                        self.register(device).await;
                    }
                }
            }
            sleep(Duration::from_millis(self.rng.u64(..600))).await;
        }
        for device in 0..self.devices.len() {
            self.close(device);
        }
    }

    async fn register(&mut self, device: usize) {
        let device = &mut self.devices[device];
        let name = format!("{}-{}", device.id, device.subscriptions.len());
        let subscription = self.cluster.service.subscribe(&name);
        let body = json!({
            "query": REGISTER,
            "variables": {"input": input(&subscription, &device.id, "EVERY_CHANGE")},
        });
        self.cluster
            .send(self.rng.usize(..2), &self.user, &[], &body)
            .await;
        // It is not in use.
        let sql = format!(
            "UPDATE topaz_push_endpoint SET live_until = 0 WHERE device_id = '{}'",
            device.id
        );
        self.cluster.execute(&sql).await;
        device.subscriptions.push((name, self.version));
    }

    fn is_gone(&self, device: usize) -> bool {
        let (name, _) = self.devices[device].subscriptions.last().unwrap();
        !self.cluster.service.is_subscribed(name)
    }

    async fn change(&mut self, device: usize) {
        let id = if self.rng.bool() {
            self.devices[device].id.clone()
        } else {
            String::new()
        };
        let device = (!id.is_empty()).then(|| json!({"id": id}));
        let name = format!("tag {}", self.version);
        let input = json!({"name": name, "device": device, "idempotencyKey": name});
        let query =
            "mutation ($input: CreateLabelInput!) { createTag(input: $input) { libraryVersion } }";
        let body = json!({"query": query, "variables": {"input": input}});
        let (_, answer) = self
            .cluster
            .send(self.rng.usize(..2), &self.user, &[], &body)
            .await;
        self.version = answer["createTag"]["libraryVersion"].as_i64().unwrap();
        self.writes.push(id);
        assert_eq!(i64::try_from(self.writes.len()).unwrap(), self.version - 1);
    }

    async fn report(&mut self, device: usize) {
        let applied = format!("{}.{}", self.epoch, self.version);
        let device = &mut self.devices[device];
        let headers = [
            ("x-device-id", &*device.id),
            ("x-library-applied", &applied),
        ];
        let body = json!({"query": "{ libraryVersion }"});
        let (node, _) = self
            .cluster
            .send(self.rng.usize(..2), &self.user, &headers, &body)
            .await;
        device.reports.push(Report {
            at: Instant::now(),
            version: self.version,
            node,
        });
    }

    async fn open(&mut self, device: usize) {
        let node = self.rng.usize(..2);
        let device = &mut self.devices[device];
        if device.open.is_some() {
            return;
        }
        let port = self.cluster.ports[node];
        let url = format!(
            "http://127.0.0.1:{port}/api/library-version-events?device={}",
            device.id
        );
        let request = self.cluster.http.get(url).bearer_auth(token(&self.user));
        if let Ok(response) = request.send().await
            && response.status() == 200
        {
            device.open = Some((node, Instant::now(), response));
        }
    }

    fn close(&mut self, device: usize) {
        let device = &mut self.devices[device];
        if let Some((node, from, response)) = device.open.take() {
            let to = Instant::now();
            drop(response);
            device.streams.push(Stream { node, from, to });
        }
    }

    fn set_answers(&mut self, device: usize) {
        let answers: Vec<_> = (0..self.rng.usize(1..4))
            .map(|_| match self.rng.u8(..13) {
                0 => Answer::Status(404),
                1 => Answer::Status(410),
                2 => Answer::Status(413),
                3 => Answer::RetryAfter(429, 1),
                4 => Answer::RetryAfter(503, 1),
                5 => Answer::Status(500),
                6 => Answer::Status(400),
                7 => Answer::Status(401),
                8 => Answer::Status(403),
                9 => Answer::Hang,
                10 => Answer::Status(302),
                _ => Answer::Status(201),
            })
            .collect();
        let (name, _) = self.devices[device].subscriptions.last().unwrap();
        self.cluster.service.answer(name, &answers);
    }

    fn check(&self, messages: &[Message], seed: u64) {
        for device in &self.devices {
            let of_device = |message: &&Message| {
                let mut names = device.subscriptions.iter();
                names.any(|(name, _)| *name == message.name)
            };
            let messages: Vec<_> = messages.iter().filter(of_device).collect();
            let checked = Checked {
                schedule: self,
                device,
                messages,
                what: format!("seed {seed}, device {}", device.id),
            };
            checked.the_newest_version_was_sent();
            checked.nothing_was_sent_after_a_report();
            checked.nothing_was_sent_to_the_origin_or_during_a_stream();
            checked.no_version_was_accepted_twice();
            checked.nothing_was_sent_to_a_gone_endpoint();
        }
    }
}

/// A device after its schedule, with the messages that were sent to it.
struct Checked<'c> {
    schedule: &'c Schedule<'c>,
    device: &'c Device,
    messages: Vec<&'c Message>,
    what: String,
}

impl Checked<'_> {
    /// The newest version that the device had at a time: reported, sent, or current at its registration.
    fn level(&self, before: Option<Instant>) -> i64 {
        let is_before =
            |at: Instant, margin: Duration| before.is_none_or(|before| at + margin < before);
        let reports = self.device.reports.iter();
        let reports = reports
            .filter(|report| is_before(report.at, STORED))
            .map(|report| report.version);
        let cluster = self.schedule.cluster;
        // A node that dies before it has stored the answer sends the message again, with later versions.
        let is_stored = |message: &Message| {
            before.is_none() || !cluster.was_killed(None, message.at, message.at + STORED)
        };
        let accepted = self.messages.iter();
        let accepted = accepted.filter(|message| message.is_accepted() && is_stored(message));
        let accepted = accepted
            .filter(|message| is_before(message.at, Duration::ZERO))
            .map(|message| message.version());
        let (_, registered) = self.device.subscriptions.last().unwrap();
        let (_, first) = self.device.subscriptions.first().unwrap();
        let registered = if before.is_none() { registered } else { first };
        reports.chain(accepted).chain([*registered]).max().unwrap()
    }

    /// Whether the device itself made all versions after `from` up to `to`.
    fn is_own(&self, from: i64, to: i64) -> bool {
        let index = |version: i64| usize::try_from(version - 1).unwrap();
        let writes = &self.schedule.writes[index(from)..index(to)];
        writes.iter().all(|by| *by == self.device.id)
    }

    fn the_newest_version_was_sent(&self) {
        let (name, _) = self.device.subscriptions.last().unwrap();
        if !self.schedule.cluster.service.is_subscribed(name) {
            return;
        }
        let (level, head) = (self.level(None), self.schedule.version);
        let was_told = level >= head || self.is_own(level, head);
        assert!(
            was_told,
            "{}: has {level}, and {head} was not sent",
            self.what
        );
    }

    fn nothing_was_sent_after_a_report(&self) {
        let cluster = self.schedule.cluster;
        for report in &self.device.reports {
            if cluster.was_killed(Some(report.node), report.at, report.at + STORED) {
                continue; // with the report
            }
            for message in &self.messages {
                let is_late =
                    message.at > report.at + STORED && message.version() <= report.version;
                assert!(
                    !is_late,
                    "{}: sent {} after {}",
                    self.what,
                    message.version(),
                    report.version
                );
            }
        }
    }

    fn nothing_was_sent_to_the_origin_or_during_a_stream(&self) {
        let cluster = self.schedule.cluster;
        for message in &self.messages {
            let lost =
                self.device.reports.iter().any(|report| {
                    cluster.was_killed(Some(report.node), report.at, report.at + STORED)
                });
            let level = self.level(Some(message.at));
            if !lost && self.device.subscriptions.len() == 1 && level < message.version() {
                assert!(
                    !self.is_own(level, message.version()),
                    "{}: sent its own {} after {level}",
                    self.what,
                    message.version()
                );
            }
            for stream in &self.device.streams {
                let during = (stream.from + STORED..stream.to).contains(&message.at);
                let killed = cluster.was_killed(Some(stream.node), stream.from, message.at);
                assert!(
                    !during || killed,
                    "{}: sent {} during a stream",
                    self.what,
                    message.version()
                );
            }
        }
    }

    fn no_version_was_accepted_twice(&self) {
        for (at, first) in self.messages.iter().enumerate() {
            if !first.is_accepted() {
                continue;
            }
            for second in &self.messages[at + 1..] {
                if second.name != first.name || second.version() != first.version() {
                    continue;
                }
                let cluster = self.schedule.cluster;
                let killed = cluster.was_killed(None, first.at, first.at + STORED);
                assert!(killed, "{}: sent {} again", self.what, first.version());
            }
        }
    }

    fn nothing_was_sent_to_a_gone_endpoint(&self) {
        for (name, _) in &self.device.subscriptions {
            let cluster = self.schedule.cluster;
            for at in cluster.service.requests_after_gone(name) {
                let gone = self.messages.iter().rfind(|message| message.name == *name);
                let gone = gone.unwrap().at;
                let killed = at < gone || cluster.was_killed(None, gone, gone + STORED);
                assert!(killed, "{}: sent to {name}, which is gone", self.what);
            }
        }
    }
}
