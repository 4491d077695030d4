//! Clients under load that survive faults: writers retry each change until it is acknowledged, and subscribers
//! reconnect when their stream ends.
//!
//! Violations of a guarantee are recorded, and fail the test at the next [`Timeline::assert_no_violations`].

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::{RwLock, RwLockWriteGuard},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::tungstenite::{Message, client::ClientRequestBuilder};
use uuid::Uuid;

use crate::{
    support::socket::LIBRARY_VERSION,
    support::test_app::{http_client, soon, token},
    support::transport::Transport,
};

/// The delay before a retry or a reconnect.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// The timeout of a request, and of opening a stream.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A log of events and violations with their times. Printed if the test fails.
#[derive(Clone)]
pub struct Timeline(Arc<Log>);

struct Log {
    seed: u64,
    began: Instant,
    lines: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
}

impl Timeline {
    /// An empty timeline of a run with this seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Log {
            seed,
            began: Instant::now(),
            lines: Mutex::default(),
            violations: Mutex::default(),
        }))
    }

    pub fn record(&self, what: &str) {
        let line = format!("{:8.3} s  {what}", self.0.began.elapsed().as_secs_f64());
        self.0.lines.lock().push(line);
    }

    /// Records a violation of a guarantee.
    fn record_violation(&self, what: &str) {
        self.record(what);
        self.0.violations.lock().push(what.to_owned());
    }

    /// All recorded events, one per line.
    pub fn text(&self) -> String {
        self.0.lines.lock().join("\n")
    }

    /// Panics if a violation was recorded.
    pub fn assert_no_violations(&self) {
        let violations = self.0.violations.lock();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("LIBRARY_SYNC_TEST_SEED={}", self.seed);
            for line in &*self.lines.lock() {
                println!("{line}");
            }
        }
    }
}

/// How the clients behave.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientBehavior {
    /// The delay of a writer between two changes. `None` writes as fast as changes are acknowledged.
    pub write_interval: Option<Duration>,
    /// Whether an `EventSource` closes permanently on any status but 200, as in browsers.
    pub is_browser: bool,
}

/// A user with one writer and several subscribers.
struct User {
    token: String,
    name: String,
    /// The story that each acknowledged version added.
    acknowledged: Mutex<BTreeMap<i64, Uuid>>,
    /// When each version was acknowledged.
    acknowledged_at: Mutex<BTreeMap<i64, Instant>>,
    newest_acknowledged: AtomicI64,
    /// The number of requests sent, and of those that failed.
    requests: AtomicUsize,
    failed: AtomicUsize,
}

/// One stream of one user, reopened when it ends.
struct Subscriber {
    user: Arc<User>,
    base: String,
    transport: Transport,
    behavior: ClientBehavior,
    /// The newest version received; 0 before the first.
    received: AtomicI64,
    /// The delivery lag of each change: from its acknowledgement to its event; zero if the event came first.
    lags: Mutex<Vec<Duration>>,
}

/// The clients. Dropping this stops them.
pub struct Workload {
    timeline: Timeline,
    users: Vec<Arc<User>>,
    subscribers: Vec<Arc<Subscriber>>,
    /// Read-locked by each writer while a change is in flight.
    gate: Arc<RwLock<()>>,
    _tasks: JoinSet<()>,
}

impl Workload {
    /// Starts users, each with one writer to random servers and one subscriber per server and transport.
    pub fn start(bases: &[String], users: usize, timeline: &Timeline) -> Self {
        Self::start_with(bases, users, timeline, ClientBehavior::default())
    }

    /// Like [`Self::start`], with this client behavior.
    pub fn start_with(
        bases: &[String],
        users: usize,
        timeline: &Timeline,
        behavior: ClientBehavior,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let gate = Arc::new(RwLock::new(()));
        let users: Vec<_> = (0..users).map(|n| Arc::new(User::new(n))).collect();
        let mut subscribers = Vec::new();
        for user in &users {
            for (base, transport) in bases
                .iter()
                .flat_map(|base| Transport::ALL.map(|transport| (base, transport)))
            {
                let subscriber = Arc::new(Subscriber {
                    user: Arc::clone(user),
                    base: base.clone(),
                    transport,
                    behavior,
                    received: AtomicI64::new(0),
                    lags: Mutex::default(),
                });
                tasks.spawn(Arc::clone(&subscriber).subscribe_repeatedly(timeline.clone()));
                subscribers.push(subscriber);
            }
            let write = Arc::clone(user).write_repeatedly(
                bases.to_vec(),
                Arc::clone(&gate),
                timeline.clone(),
                behavior.write_interval,
            );
            tasks.spawn(write);
        }
        Self {
            timeline: timeline.clone(),
            users,
            subscribers,
            gate,
            _tasks: tasks,
        }
    }

    /// Waits until no change is in flight, and blocks the writers until the guard is dropped.
    pub async fn pause_writers(&self, within: Duration) -> RwLockWriteGuard<'_, ()> {
        let paused = timeout(within, self.gate.write()).await;
        paused.unwrap_or_else(|_| panic!("changes not acknowledged within {within:?}"))
    }

    /// Waits until every change is acknowledged and every subscriber received it. Blocks writers meanwhile.
    pub async fn until_converged(&self, within: Duration) {
        let paused = self.pause_writers(within).await;
        let began = Instant::now();
        loop {
            let lagging = self.lagging_subscribers();
            if lagging.is_empty() {
                break;
            }
            assert!(
                began.elapsed() < within,
                "not delivered within {within:?}: {lagging}"
            );
            sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed().as_millis();
        self.timeline.record(&format!(
            "converged {took} ms after the last acknowledgement"
        ));
        drop(paused);
        self.timeline.assert_no_violations();
    }

    fn lagging_subscribers(&self) -> String {
        let mut lagging = String::new();
        for subscriber in &self.subscribers {
            let newest = subscriber.user.newest_acknowledged.load(Ordering::SeqCst);
            let received = subscriber.received.load(Ordering::SeqCst);
            if received != newest {
                let name = subscriber.name();
                let _ = write!(lagging, "\n{name} received {received}, not {newest}");
            }
        }
        lagging
    }

    /// Waits until `more` further changes are acknowledged.
    pub async fn until_acknowledged(&self, more: usize) {
        let enough = self.acknowledged() + more;
        soon("changes are acknowledged", async {
            while self.acknowledged() < enough {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// The number of acknowledged changes.
    pub fn acknowledged(&self) -> usize {
        let acknowledged = self.users.iter().map(|user| user.acknowledged.lock().len());
        acknowledged.sum()
    }

    /// The number of requests that writers sent, and of those that failed and were retried.
    pub fn requests(&self) -> (usize, usize) {
        let sum = |count: fn(&User) -> &AtomicUsize| {
            let counts = self.users.iter().map(|user| count(user));
            counts.map(|count| count.load(Ordering::SeqCst)).sum()
        };
        (sum(|user| &user.requests), sum(|user| &user.failed))
    }

    /// The delivery lags of the subscribers of `base`, in ascending order.
    pub fn lags(&self, base: &str) -> Vec<Duration> {
        let subscribers = self.subscribers.iter().filter(|f| f.base == base);
        let mut lags: Vec<_> = subscribers.flat_map(|f| f.lags.lock().clone()).collect();
        lags.sort_unstable();
        lags
    }

    /// Each user's name and the story that each acknowledged version added.
    pub fn acknowledged_stories(&self) -> Vec<(String, BTreeMap<i64, Uuid>)> {
        self.users
            .iter()
            .map(|user| (user.name.clone(), user.acknowledged.lock().clone()))
            .collect()
    }
}

impl User {
    fn new(number: usize) -> Self {
        let name = format!("user {number}");
        Self {
            token: token(&name),
            name,
            acknowledged: Mutex::default(),
            acknowledged_at: Mutex::default(),
            newest_acknowledged: AtomicI64::new(1),
            requests: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    async fn write_repeatedly(
        self: Arc<Self>,
        bases: Vec<String>,
        gate: Arc<RwLock<()>>,
        timeline: Timeline,
        interval: Option<Duration>,
    ) {
        // A client of its own, so that no pooled connection leads to a stopped server.
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .build()
            .unwrap();
        loop {
            if let Some(interval) = interval {
                sleep(interval.mul_f64(fastrand::f64() + 0.5)).await;
            }
            let _in_flight = gate.read().await;
            let (key, story) = (Uuid::now_v7(), Uuid::now_v7());
            let version = loop {
                let base = &bases[fastrand::usize(..bases.len())];
                self.requests.fetch_add(1, Ordering::SeqCst);
                match self.add_story(&http, base, key, story).await {
                    Ok(version) => break version,
                    Err(WriteError::Transient(why)) => {
                        self.failed.fetch_add(1, Ordering::SeqCst);
                        timeline.record(&format!("{}: retries: {why}", self.name));
                        sleep(RETRY_DELAY).await;
                    }
                    Err(WriteError::Unexpected(response)) => {
                        return timeline.record_violation(&format!("{}: {response}", self.name));
                    }
                }
            };
            if let Some(other) = self.acknowledged.lock().insert(version, story) {
                return timeline.record_violation(&format!(
                    "{}: version {version} was acknowledged for {other} and {story}",
                    self.name
                ));
            }
            self.acknowledged_at.lock().insert(version, Instant::now());
            self.newest_acknowledged
                .fetch_max(version, Ordering::SeqCst);
        }
    }

    async fn add_story(
        &self,
        http: &reqwest::Client,
        base: &str,
        key: Uuid,
        story: Uuid,
    ) -> Result<i64, WriteError> {
        let query = "mutation ($input: CreateStoryWithProgressInput!) { \
            createStoryWithProgress(input: $input) { libraryVersion refusal { code } } }";
        let input = json!({
            "title": "A", "url": format!("https://example.org/{story}"), "storyId": story, "idempotencyKey": key,
        });
        let request = http
            .post(format!("{base}/graphql"))
            .bearer_auth(&self.token)
            .json(&json!({"query": query, "variables": {"input": input}}));
        let response = async { request.send().await?.json::<Value>().await };
        let response = response
            .await
            .map_err(|error| WriteError::Transient(format!("{error:?}")))?;
        if response["errors"][0]["extensions"]["code"] == "UNAVAILABLE" {
            return Err(WriteError::Transient(response.to_string()));
        }
        let payload = &response["data"]["createStoryWithProgress"];
        match payload["libraryVersion"].as_i64() {
            Some(version) if payload["refusal"].is_null() => Ok(version),
            _ => Err(WriteError::Unexpected(response)),
        }
    }
}

/// Why a change was not acknowledged.
enum WriteError {
    /// Temporary: the writer retries.
    Transient(String),
    /// A response that violates a guarantee.
    Unexpected(Value),
}

impl Subscriber {
    /// Records the delivery lags of the versions after `before`, up to `version`.
    fn record_lags(&self, before: i64, version: i64) {
        let acknowledged = self.user.acknowledged_at.lock();
        let mut lags = self.lags.lock();
        for newer in before + 1..=version {
            let lag = acknowledged.get(&newer).map(Instant::elapsed);
            lags.push(lag.unwrap_or_default());
        }
    }

    fn name(&self) -> String {
        let Self {
            user,
            base,
            transport,
            ..
        } = self;
        format!("{} over {transport} of {base}", user.name)
    }

    async fn subscribe_repeatedly(self: Arc<Self>, timeline: Timeline) {
        let http = http_client();
        loop {
            let mut stream = VersionParser::new(&self, &timeline);
            // The cause is irrelevant: the stream is reopened.
            let _ = match self.transport {
                Transport::Websocket => self.read_socket(&mut stream).await,
                _ => self.read_http(&http, &mut stream).await,
            };
            if stream.is_permanently_closed {
                return;
            }
            sleep(RETRY_DELAY).await;
        }
    }

    async fn read_http(
        &self,
        http: &reqwest::Client,
        stream: &mut VersionParser<'_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let base = &self.base;
        let request = if self.transport == Transport::Events {
            http.get(format!("{base}/api/library-version-events"))
                .header("Accept", "text/event-stream")
        } else {
            let accept = if self.transport == Transport::Sse {
                "text/event-stream"
            } else {
                "multipart/mixed;subscriptionSpec=1.0"
            };
            http.post(format!("{base}/graphql"))
                .header("Accept", accept)
                .json(&json!({"query": LIBRARY_VERSION}))
        };
        let request = request.bearer_auth(&self.user.token).send();
        let response = timeout(REQUEST_TIMEOUT, request).await??;
        if self.behavior.is_browser
            && self.transport == Transport::Events
            && response.status() != 200
        {
            stream.close_permanently(response.status().as_u16());
        }
        let mut response = response.error_for_status()?;
        while let Some(chunk) = response.chunk().await? {
            stream.parse(std::str::from_utf8(&chunk)?);
        }
        Ok(())
    }

    async fn read_socket(
        &self,
        stream: &mut VersionParser<'_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let url = format!("ws{}/graphql", self.base.strip_prefix("http").unwrap());
        let request = ClientRequestBuilder::new(url.parse()?)
            .with_sub_protocol("graphql-transport-ws")
            .with_header("Authorization", format!("Bearer {}", self.user.token));
        let connecting = Box::pin(tokio_tungstenite::connect_async(request));
        let (mut socket, _) = timeout(REQUEST_TIMEOUT, connecting).await??;
        for message in [
            json!({"type": "connection_init"}),
            json!({"type": "subscribe", "id": "v", "payload": {"query": LIBRARY_VERSION}}),
        ] {
            socket.send(Message::text(message.to_string())).await?;
        }
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else {
                continue;
            };
            stream.parse(&text);
            if text.contains(r#""type":"ping""#) {
                socket.send(Message::text(r#"{"type":"pong"}"#)).await?;
            }
        }
        Ok(())
    }
}

/// Extracts the versions from the text of one stream.
struct VersionParser<'a> {
    subscriber: &'a Subscriber,
    timeline: &'a Timeline,
    unparsed: String,
    /// The newest version acknowledged before the stream opened, or received since.
    minimum: i64,
    is_permanently_closed: bool,
}

impl<'a> VersionParser<'a> {
    fn new(subscriber: &'a Subscriber, timeline: &'a Timeline) -> Self {
        Self {
            subscriber,
            timeline,
            unparsed: String::new(),
            minimum: subscriber.user.newest_acknowledged.load(Ordering::SeqCst),
            is_permanently_closed: false,
        }
    }

    /// Browsers never reopen this stream.
    fn close_permanently(&mut self, status: u16) {
        self.is_permanently_closed = true;
        let name = self.subscriber.name();
        self.timeline
            .record_violation(&format!("{name} is permanently closed by status {status}"));
    }

    fn parse(&mut self, text: &str) {
        self.unparsed.push_str(text);
        // `"version":5` and `"libraryVersion":5`, up to the first character that is not a digit.
        while let Some((_, rest)) = self.unparsed.split_once("ersion\":") {
            let digits = rest.find(|c: char| !c.is_ascii_digit());
            let Some(version) = digits.map(|end| rest[..end].parse::<i64>()) else {
                return;
            };
            self.unparsed = rest.to_owned();
            if let Ok(version) = version {
                self.receive(version);
            }
        }
    }

    fn receive(&mut self, version: i64) {
        if version < self.minimum {
            let (name, minimum) = (self.subscriber.name(), self.minimum);
            let what = format!("{name} received {version} after {minimum}");
            return self.timeline.record_violation(&what);
        }
        self.minimum = version;
        let before = self.subscriber.received.swap(version, Ordering::SeqCst);
        if before > 0 {
            self.subscriber.record_lags(before, version);
        }
    }
}
