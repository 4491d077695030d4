//! A push service of a test: it verifies what a real one verifies, decrypts what the browser would, and answers as it is told.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    encoding::{AsBigEndian as _, EcPrivateKeyBin},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    signature::{self, ECDSA_P256_SHA256_FIXED},
};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::test_app::{TestApp, TestDatabase, TestUser, soon};

/// A subscription of a browser at the service.
#[derive(Clone)]
pub struct Subscription {
    /// Its name at the service.
    pub name: String,
    pub endpoint: String,
    pub p256dh: String,
    pub auth: String,
    /// The private key, in base64url.
    pub private: String,
}

/// How the service answers a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    RetryAfter(u16, u64),
    /// Closes the connection without an answer.
    Hang,
}

/// A message that arrived.
#[derive(Clone)]
pub struct Message {
    pub name: String,
    /// What the browser decrypts.
    pub payload: Value,
    pub body: Vec<u8>,
    pub headers: HeaderMap,
    pub answered: Answer,
    pub at: Instant,
}

impl Message {
    pub fn is_accepted(&self) -> bool {
        matches!(self.answered, Answer::Status(200..300))
    }

    pub fn version(&self) -> i64 {
        self.payload["version"].as_i64().unwrap_or_default()
    }
}

#[derive(Default)]
struct Inner {
    subscriptions: HashMap<String, Subscription>,
    answers: HashMap<String, VecDeque<Answer>>,
    messages: Vec<Message>,
    /// Requests to subscriptions that the service has answered to be gone.
    after_gone: HashMap<String, Vec<Instant>>,
    /// Requests in progress, and the greatest number of them.
    running: usize,
    most_running: usize,
    /// Requests that a real service would refuse.
    violations: Vec<String>,
}

#[derive(Clone)]
pub struct FakePushService {
    pub base: String,
    inner: Arc<Mutex<Inner>>,
    count: watch::Sender<usize>,
    /// The longest time that an answer takes.
    pub slowness: Duration,
}

impl FakePushService {
    pub async fn start() -> Self {
        Self::start_slow(Duration::ZERO).await
    }

    /// Answers after a random time up to `slowness`.
    pub async fn start_slow(slowness: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let service = Self {
            base,
            inner: Arc::default(),
            count: watch::Sender::new(0),
            slowness,
        };
        let routes = Router::new()
            .route("/push/{name}", post(receive))
            .with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        service
    }

    /// The flags of a server that uses this service.
    pub fn flags(&self, more: &[&str]) -> Vec<String> {
        let key = library_sync::push::new_key().unwrap();
        let fixed = [
            "--vapid-key",
            &key,
            "--vapid-subject",
            "mailto:admin@example.org",
            "--push-allow",
            &self.base,
        ];
        let all = fixed.iter().chain(more);
        all.map(|flag| (*flag).to_owned()).collect()
    }

    /// Subscribes a browser.
    pub fn subscribe(&self, name: &str) -> Subscription {
        let private = PrivateKey::generate(&ECDH_P256).unwrap();
        let public = private.compute_public_key().unwrap();
        let bytes: EcPrivateKeyBin<'_> = private.as_be_bytes().unwrap();
        let subscription = Subscription {
            name: name.to_owned(),
            endpoint: format!("{}/push/{name}", self.base),
            p256dh: BASE64_URL_SAFE_NO_PAD.encode(public),
            auth: BASE64_URL_SAFE_NO_PAD.encode([7; 16]),
            private: BASE64_URL_SAFE_NO_PAD.encode(bytes.as_ref()),
        };
        let subscriptions = &mut self.inner.lock().subscriptions;
        subscriptions.insert(name.to_owned(), subscription.clone());
        subscription
    }

    /// Sets the answers to the next messages of a subscription. Later ones are accepted.
    pub fn answer(&self, name: &str, answers: &[Answer]) {
        let answers = answers.iter().copied().collect();
        self.inner.lock().answers.insert(name.to_owned(), answers);
    }

    /// Accepts all messages from now on.
    pub fn forget_answers(&self) {
        self.inner.lock().answers.clear();
    }

    /// Whether the service has not answered that a subscription is gone.
    pub fn is_subscribed(&self, name: &str) -> bool {
        self.inner.lock().subscriptions.contains_key(name)
    }

    /// The times of requests to a subscription after it was gone.
    pub fn requests_after_gone(&self, name: &str) -> Vec<Instant> {
        let inner = self.inner.lock();
        inner.after_gone.get(name).cloned().unwrap_or_default()
    }

    /// The greatest number of concurrent requests so far.
    pub fn most_running(&self) -> usize {
        self.inner.lock().most_running
    }

    pub fn messages(&self) -> Vec<Message> {
        self.inner.lock().messages.clone()
    }

    pub fn messages_to(&self, name: &str) -> Vec<Message> {
        let of_name = |message: &Message| message.name == name;
        self.messages().into_iter().filter(of_name).collect()
    }

    /// Fails if a message was one that a real service refuses.
    pub fn assert_no_violation(&self) {
        assert_eq!(self.inner.lock().violations, Vec::<String>::new());
    }

    /// Waits until `count` messages to a subscription have arrived, and returns them.
    pub async fn until(&self, name: &str, count: usize) -> Vec<Message> {
        let what = format!("{count} messages to {name}");
        let arrived = async {
            let mut arrived = self.count.subscribe();
            while self.messages_to(name).len() < count {
                arrived.changed().await.unwrap();
            }
        };
        soon(&what, arrived).await;
        self.messages_to(name)
    }

    fn record(&self, name: &str, headers: HeaderMap, body: &Bytes) -> Answer {
        let mut inner = self.inner.lock();
        let Some(subscription) = inner.subscriptions.get(name).cloned() else {
            let requests = inner.after_gone.entry(name.to_owned()).or_default();
            requests.push(Instant::now());
            return Answer::Status(404);
        };
        if let Err(violation) = check(&self.base, &headers, body) {
            inner.violations.push(violation);
            return Answer::Status(400);
        }
        let Some(payload) = decrypt(&subscription, body) else {
            inner.violations.push(format!("{name}: not decrypted"));
            return Answer::Status(201);
        };
        let payload = serde_json::from_slice(&payload).unwrap();
        let answers = inner.answers.get_mut(name);
        let answer = answers.and_then(VecDeque::pop_front);
        let answered = answer.unwrap_or(Answer::Status(201));
        inner.messages.push(Message {
            name: name.to_owned(),
            payload,
            body: body.to_vec(),
            headers,
            answered,
            at: Instant::now(),
        });
        if matches!(answered, Answer::Status(404 | 410)) {
            inner.subscriptions.remove(name);
        }
        answered
    }
}

/// Counts a request in progress, until the server or the client ends it.
struct Running(FakePushService);

impl Running {
    fn begin(service: &FakePushService) -> Self {
        let mut inner = service.inner.lock();
        inner.running += 1;
        inner.most_running = inner.most_running.max(inner.running);
        Self(service.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.inner.lock().running -= 1;
    }
}

async fn receive(
    State(service): State<FakePushService>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(&'static str, String); 1]) {
    let answer = service.record(&name, headers, &body);
    let _running = Running::begin(&service);
    service.count.send_modify(|count| *count += 1);
    tokio::time::sleep(service.slowness.mul_f64(fastrand::f64())).await;
    let (status, retry_after) = match answer {
        Answer::Status(status) => (status, String::new()),
        Answer::RetryAfter(status, seconds) => (status, seconds.to_string()),
        Answer::Hang => std::future::pending().await,
    };
    (
        StatusCode::from_u16(status).unwrap(),
        [("retry-after", retry_after)],
    )
}

/// Checks what every push service checks.
fn check(base: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| format!("no {name}"))
    };
    let ttl: u64 = header("ttl")?.parse().map_err(|_| "ttl")?;
    let topic = header("topic")?;
    let is_topic = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let is_valid = ttl <= 28 * 24 * 3_600
        && header("content-encoding")? == "aes128gcm"
        && ["very-low", "low", "normal", "high"].contains(&header("urgency")?)
        && topic.len() <= 32
        && topic.len() % 4 != 1
        && topic.chars().all(is_topic)
        && body.len() <= 4_096;
    if !is_valid {
        return Err(format!("{headers:?}"));
    }
    let authorization = header("authorization")?;
    let parts = authorization.strip_prefix("vapid t=");
    let (token, key) = parts
        .and_then(|rest| rest.split_once(", k="))
        .ok_or("authorization")?;
    let (signed, signed_with) = token.rsplit_once('.').ok_or("token")?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| "base64");
    signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key)?)
        .verify(signed.as_bytes(), &decode(signed_with)?)
        .map_err(|_| "the signature of the token")?;
    let claims = decode(signed.split_once('.').ok_or("token")?.1)?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| "claims")?;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let left = claims["exp"].as_i64().unwrap_or_default() - now;
    if claims["aud"] != base || !(0..=86_400).contains(&left) {
        return Err(format!("{claims}"));
    }
    Ok(())
}

/// Decrypts a message as a browser does (RFC 8291).
pub fn decrypt(to: &Subscription, message: &[u8]) -> Option<Vec<u8>> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    fn derive<const N: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> [u8; N] {
        let mut out = [0; N];
        let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
        prk.expand(info, Length(N)).unwrap().fill(&mut out).unwrap();
        out
    }
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let (salt, rest) = message.split_at_checked(16)?;
    let (sender, record) = rest.get(5..)?.split_at_checked(65)?;
    let private = PrivateKey::from_private_key(&ECDH_P256, &decode(&to.private)).unwrap();
    let (public, auth) = (decode(&to.p256dh), decode(&to.auth));
    let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
    let input: [u8; 32] = agree(&private, peer, (), |secret| {
        Ok(derive(
            &auth,
            secret,
            &[b"WebPush: info\0", &public, sender],
        ))
    })
    .ok()?;
    let key: [u8; 16] = derive(salt, &input, &[b"Content-Encoding: aes128gcm\0"]);
    let nonce: [u8; 12] = derive(salt, &input, &[b"Content-Encoding: nonce\0"]);
    let mut record = record.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plain = key.open_in_place(nonce, Aad::empty(), &mut record).ok()?;
    let end = plain.iter().rposition(|byte| *byte == 2)?;
    Some(plain[..end].to_vec())
}

/// Starts a server that uses the service, whose devices count as asleep at once.
pub async fn start(database: TestDatabase, service: &FakePushService, more: &[&str]) -> TestApp {
    start_settling(database, service, "300ms", more).await
}

/// Starts a server that sends messages of a change only after `delay`.
pub async fn start_settling(
    database: TestDatabase,
    service: &FakePushService,
    delay: &str,
    more: &[&str],
) -> TestApp {
    let fast = [
        "--push-delay",
        delay,
        "--push-sweep",
        "1s",
        "--push-lease",
        "10s",
        "--push-retry",
        "1s",
    ];
    let flags = service.flags(&[&fast[..], more].concat());
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    TestApp::start_on(database, &flags).await
}

pub const REGISTER: &str = "mutation ($input: RegisterPushEndpointInput!) { registerPushEndpoint(input: $input) { \
    libraryVersion endpoint { id deviceId pace registeredAt expiresAt sentAt failingSince } \
    refusal { code message field } } }";

pub const UNREGISTER: &str = "mutation ($input: UnregisterPushEndpointInput!) { \
    unregisterPushEndpoint(input: $input) { libraryVersion removed } }";

/// The input that registers a subscription for a device.
pub fn input(subscription: &Subscription, device: &str, pace: &str) -> Value {
    json!({
        "endpoint": subscription.endpoint,
        "p256dh": subscription.p256dh,
        "auth": subscription.auth,
        "device": {"id": device},
        "pace": pace,
    })
}

/// Registers a subscription for a device of the same name, which then falls asleep.
pub async fn register(user: &TestUser<'_>, subscription: &Subscription, pace: &str) {
    let input = input(subscription, &subscription.name, pace);
    let made = user.ask(REGISTER, json!({"input": input})).await;
    let made = &made["registerPushEndpoint"];
    assert!(made["refusal"].is_null(), "{made}");
    sleep_device(&user.app.db, &subscription.name).await;
}

/// Ends the time in which a device counts as live after its registration.
pub async fn sleep_device(database: &TestDatabase, device: &str) {
    let sql = format!("UPDATE topaz_push_endpoint SET live_until = 0 WHERE device_id = '{device}'");
    database.execute(&sql).await;
}

/// Adds a tag on a device.
pub async fn change(user: &TestUser<'_>, device: &str, name: &str) -> i64 {
    let device = json!({"id": device, "name": format!("My {device}")});
    let input = json!({"name": name, "device": device});
    let made = user
        .mutate("createTag", "CreateLabelInput", input, "")
        .await;
    made["libraryVersion"].as_i64().unwrap()
}

/// Long enough for a message that must not be sent.
pub async fn no_message_follows() {
    tokio::time::sleep(Duration::from_millis(1_800)).await;
}
