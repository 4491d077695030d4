//! A crowd of clients that go on whatever fails: writers who send each change until it is answered, and followers who
//! come back whenever their stream ends.
//!
//! What they see that must never be, whatever fails, is kept, and fails the test at its next look.

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

/// How long one who was not answered waits before trying again.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an answer or the first word of a stream is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What happened when, and what must not have. Shown if the test fails.
#[derive(Clone)]
pub struct Timeline(Arc<Told>);

struct Told {
    seed: u64,
    began: Instant,
    lines: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
}

impl Timeline {
    /// An empty one of a run that `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Told {
            seed,
            began: Instant::now(),
            lines: Mutex::default(),
            violations: Mutex::default(),
        }))
    }

    pub fn tell(&self, what: &str) {
        let line = format!("{:8.3} s  {what}", self.0.began.elapsed().as_secs_f64());
        self.0.lines.lock().push(line);
    }

    /// Keeps what must never be.
    fn violation(&self, what: &str) {
        self.tell(what);
        self.0.violations.lock().push(what.to_owned());
    }

    /// Everything that happened, a line each.
    pub fn text(&self) -> String {
        self.0.lines.lock().join("\n")
    }

    /// Fails if something was that must never be.
    pub fn assert_sound(&self) {
        let violations = self.0.violations.lock();
        assert!(violations.is_empty(), "{violations:#?}");
    }
}

impl Drop for Told {
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
pub struct Habits {
    /// The pause of a writer between two changes. None writes as fast as it is answered.
    pub pause: Option<Duration>,
    /// Whether an `EventSource` is what a browser has: closed for good by any status but 200.
    pub as_browsers: bool,
}

/// A reader with several devices.
struct Reader {
    token: String,
    name: String,
    /// The story that each version added, as far as it was answered.
    answered: Mutex<BTreeMap<i64, Uuid>>,
    /// When each version was answered.
    answered_at: Mutex<BTreeMap<i64, Instant>>,
    newest_answered: AtomicI64,
    /// How many requests it sent, and how many of them were answered by no payload.
    requests: AtomicUsize,
    failed: AtomicUsize,
}

/// One stream of one reader, made again whenever it ends.
struct Follower {
    reader: Arc<Reader>,
    base: String,
    transport: Transport,
    habits: Habits,
    /// The newest version it was told of; 0 before the first.
    told: AtomicI64,
    /// For how long after its answer each change was unknown to it; zero where the event came first.
    lags: Mutex<Vec<Duration>>,
}

/// The clients. They go when this is dropped.
pub struct Crowd {
    timeline: Timeline,
    readers: Vec<Arc<Reader>>,
    followers: Vec<Arc<Follower>>,
    /// Held for reading by each writer while a change is under way.
    gate: Arc<RwLock<()>>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// So many readers, each with one writer, who writes to any server, and one follower by each transport of each.
    pub fn start(bases: &[String], readers: usize, timeline: &Timeline) -> Self {
        Self::start_with(bases, readers, timeline, Habits::default())
    }

    /// The same, of clients with these habits.
    pub fn start_with(
        bases: &[String],
        readers: usize,
        timeline: &Timeline,
        habits: Habits,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let gate = Arc::new(RwLock::new(()));
        let readers: Vec<_> = (0..readers).map(|n| Arc::new(Reader::new(n))).collect();
        let mut followers = Vec::new();
        for reader in &readers {
            for (base, transport) in bases
                .iter()
                .flat_map(|base| Transport::ALL.map(|transport| (base, transport)))
            {
                let follower = Arc::new(Follower {
                    reader: Arc::clone(reader),
                    base: base.clone(),
                    transport,
                    habits,
                    told: AtomicI64::new(0),
                    lags: Mutex::default(),
                });
                tasks.spawn(Arc::clone(&follower).follow_for_ever(timeline.clone()));
                followers.push(follower);
            }
            let write = Arc::clone(reader).write_for_ever(
                bases.to_vec(),
                Arc::clone(&gate),
                timeline.clone(),
                habits.pause,
            );
            tasks.spawn(write);
        }
        Self {
            timeline: timeline.clone(),
            readers,
            followers,
            gate,
            _tasks: tasks,
        }
    }

    /// Waits until all that was begun is answered, and keeps the writers waiting until the guard is dropped.
    pub async fn hush(&self, within: Duration) -> RwLockWriteGuard<'_, ()> {
        let hushed = timeout(within, self.gate.write()).await;
        hushed.unwrap_or_else(|_| panic!("changes were not answered within {within:?}"))
    }

    /// Waits until every change is answered and every follower was told of it. Writers wait meanwhile.
    pub async fn until_all_know(&self, within: Duration) {
        let hushed = self.hush(within).await;
        let began = Instant::now();
        loop {
            let late = self.late();
            if late.is_empty() {
                break;
            }
            assert!(
                began.elapsed() < within,
                "not told within {within:?}: {late}"
            );
            sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed().as_millis();
        self.timeline
            .tell(&format!("all know, {took} ms after the last answer"));
        drop(hushed);
        self.timeline.assert_sound();
    }

    fn late(&self) -> String {
        let mut late = String::new();
        for follower in &self.followers {
            let newest = follower.reader.newest_answered.load(Ordering::SeqCst);
            let told = follower.told.load(Ordering::SeqCst);
            if told != newest {
                let name = follower.name();
                let _ = write!(late, "\n{name} was told of {told}, not of {newest}");
            }
        }
        late
    }

    /// Waits until so many more changes are answered.
    pub async fn until_answered(&self, more: usize) {
        let enough = self.answered() + more;
        soon("changes are answered", async {
            while self.answered() < enough {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// How many changes were answered.
    pub fn answered(&self) -> usize {
        let answered = self
            .readers
            .iter()
            .map(|reader| reader.answered.lock().len());
        answered.sum()
    }

    /// How many requests writers sent, and how many of them failed and were sent again.
    pub fn requests(&self) -> (usize, usize) {
        let sum = |count: fn(&Reader) -> &AtomicUsize| {
            let counts = self.readers.iter().map(|reader| count(reader));
            counts.map(|count| count.load(Ordering::SeqCst)).sum()
        };
        (sum(|reader| &reader.requests), sum(|reader| &reader.failed))
    }

    /// For how long after their answers changes were unknown to the followers of `base`, in ascending order.
    pub fn lags(&self, base: &str) -> Vec<Duration> {
        let followers = self.followers.iter().filter(|f| f.base == base);
        let mut lags: Vec<_> = followers.flat_map(|f| f.lags.lock().clone()).collect();
        lags.sort_unstable();
        lags
    }

    /// Each reader's name and the story that each version added.
    pub fn answers(&self) -> Vec<(String, BTreeMap<i64, Uuid>)> {
        self.readers
            .iter()
            .map(|reader| (reader.name.clone(), reader.answered.lock().clone()))
            .collect()
    }
}

impl Reader {
    fn new(number: usize) -> Self {
        let name = format!("reader {number}");
        Self {
            token: token(&name),
            name,
            answered: Mutex::default(),
            answered_at: Mutex::default(),
            newest_answered: AtomicI64::new(1),
            requests: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
        }
    }

    async fn write_for_ever(
        self: Arc<Self>,
        bases: Vec<String>,
        gate: Arc<RwLock<()>>,
        timeline: Timeline,
        pause: Option<Duration>,
    ) {
        // A client that keeps no connection meets no server of long ago.
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        loop {
            if let Some(pause) = pause {
                sleep(pause.mul_f64(fastrand::f64() + 0.5)).await;
            }
            let _under_way = gate.read().await;
            let (key, story) = (Uuid::now_v7(), Uuid::now_v7());
            let version = loop {
                let base = &bases[fastrand::usize(..bases.len())];
                self.requests.fetch_add(1, Ordering::SeqCst);
                match self.add_story(&http, base, key, story).await {
                    Ok(version) => break version,
                    Err(Unanswered::Passing(why)) => {
                        self.failed.fetch_add(1, Ordering::SeqCst);
                        timeline.tell(&format!("{}: sends again: {why}", self.name));
                        sleep(PAUSE).await;
                    }
                    Err(Unanswered::Wrong(answer)) => {
                        return timeline.violation(&format!("{}: {answer}", self.name));
                    }
                }
            };
            if let Some(other) = self.answered.lock().insert(version, story) {
                return timeline.violation(&format!(
                    "{}: version {version} was answered for {other} and {story}",
                    self.name
                ));
            }
            self.answered_at.lock().insert(version, Instant::now());
            self.newest_answered.fetch_max(version, Ordering::SeqCst);
        }
    }

    async fn add_story(
        &self,
        http: &reqwest::Client,
        base: &str,
        key: Uuid,
        story: Uuid,
    ) -> Result<i64, Unanswered> {
        let query = "mutation ($input: CreateStoryWithProgressInput!) { \
            createStoryWithProgress(input: $input) { libraryVersion refusal { code } } }";
        let input = json!({
            "title": "A", "url": format!("https://example.org/{story}"), "storyId": story, "idempotencyKey": key,
        });
        let request = http
            .post(format!("{base}/graphql"))
            .bearer_auth(&self.token)
            .json(&json!({"query": query, "variables": {"input": input}}));
        let answer = async { request.send().await?.json::<Value>().await };
        let answer = answer
            .await
            .map_err(|error| Unanswered::Passing(format!("{error:?}")))?;
        if answer["errors"][0]["extensions"]["code"] == "UNAVAILABLE" {
            return Err(Unanswered::Passing(answer.to_string()));
        }
        let payload = &answer["data"]["createStoryWithProgress"];
        match payload["libraryVersion"].as_i64() {
            Some(version) if payload["refusal"].is_null() => Ok(version),
            _ => Err(Unanswered::Wrong(answer)),
        }
    }
}

/// Why a change was not answered.
enum Unanswered {
    /// Try again: what came instead.
    Passing(String),
    /// It must have been answered otherwise.
    Wrong(Value),
}

impl Follower {
    /// Records how late the versions after `before` were heard of, up to `version`.
    fn record_lags(&self, before: i64, version: i64) {
        let answered = self.reader.answered_at.lock();
        let mut lags = self.lags.lock();
        for newer in before + 1..=version {
            let lag = answered.get(&newer).map(Instant::elapsed);
            lags.push(lag.unwrap_or_default());
        }
    }

    fn name(&self) -> String {
        let Self {
            reader,
            base,
            transport,
            ..
        } = self;
        format!("{} by {transport} of {base}", reader.name)
    }

    async fn follow_for_ever(self: Arc<Self>, timeline: Timeline) {
        let http = http_client();
        loop {
            let mut words = Words::new(&self, &timeline);
            // Why a stream ends is no matter here: it is made again.
            let _ = match self.transport {
                Transport::Websocket => self.follow_socket(&mut words).await,
                _ => self.follow_http(&http, &mut words).await,
            };
            if words.is_closed_for_good {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn follow_http(
        &self,
        http: &reqwest::Client,
        words: &mut Words<'_>,
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
        let request = request.bearer_auth(&self.reader.token).send();
        let response = timeout(PATIENCE, request).await??;
        if self.habits.as_browsers
            && self.transport == Transport::Events
            && response.status() != 200
        {
            words.close_for_good(response.status().as_u16());
        }
        let mut response = response.error_for_status()?;
        while let Some(chunk) = response.chunk().await? {
            words.hear(std::str::from_utf8(&chunk)?);
        }
        Ok(())
    }

    async fn follow_socket(
        &self,
        words: &mut Words<'_>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let url = format!("ws{}/graphql", self.base.strip_prefix("http").unwrap());
        let request = ClientRequestBuilder::new(url.parse()?)
            .with_sub_protocol("graphql-transport-ws")
            .with_header("Authorization", format!("Bearer {}", self.reader.token));
        let connecting = Box::pin(tokio_tungstenite::connect_async(request));
        let (mut socket, _) = timeout(PATIENCE, connecting).await??;
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
            words.hear(&text);
            if text.contains(r#""type":"ping""#) {
                socket.send(Message::text(r#"{"type":"pong"}"#)).await?;
            }
        }
        Ok(())
    }
}

/// What one stream says, of which only the versions are understood.
struct Words<'a> {
    follower: &'a Follower,
    timeline: &'a Timeline,
    unread: String,
    /// What was answered before the stream was opened, or told last.
    at_least: i64,
    is_closed_for_good: bool,
}

impl<'a> Words<'a> {
    fn new(follower: &'a Follower, timeline: &'a Timeline) -> Self {
        Self {
            follower,
            timeline,
            unread: String::new(),
            at_least: follower.reader.newest_answered.load(Ordering::SeqCst),
            is_closed_for_good: false,
        }
    }

    /// A browser never opens this stream again.
    fn close_for_good(&mut self, status: u16) {
        self.is_closed_for_good = true;
        let name = self.follower.name();
        self.timeline
            .violation(&format!("{name} is closed for good by status {status}"));
    }

    fn hear(&mut self, text: &str) {
        self.unread.push_str(text);
        // `"version":5` and `"libraryVersion":5`, up to something that is no digit.
        while let Some((_, rest)) = self.unread.split_once("ersion\":") {
            let digits = rest.find(|c: char| !c.is_ascii_digit());
            let Some(version) = digits.map(|end| rest[..end].parse::<i64>()) else {
                return;
            };
            self.unread = rest.to_owned();
            if let Ok(version) = version {
                self.told(version);
            }
        }
    }

    fn told(&mut self, version: i64) {
        if version < self.at_least {
            let (name, least) = (self.follower.name(), self.at_least);
            let what = format!("{name} was told of {version} and knew of {least}");
            return self.timeline.violation(&what);
        }
        self.at_least = version;
        let told_before = self.follower.told.swap(version, Ordering::SeqCst);
        if told_before > 0 {
            self.follower.record_lags(told_before, version);
        }
    }
}
