//! [`Push`]: sends one message to one endpoint. The API and the worker share it.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use lru::LruCache;
use parking_lot::Mutex;
use reqwest::{Client, header};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use url::Url;

use super::{
    answer::is_own_fault,
    client::{self, Response, UnreachableService},
    concurrency::Concurrency,
    encryption::{InvalidRecipient, Recipient, encrypt},
    limits::{PushLimits, TTL},
    notice::NoticeTemplate,
    push_service::{InvalidAddress, check_address, label_of},
    vapid::Vapid,
};
use crate::{
    library::Claimed,
    version::{Head, UserId},
};

/// A new message replaces an undelivered one of the same topic (RFC 8030, section 5.4). The topic names no user, because
/// push services read it.
const TOPIC: &str = "library";

/// Maximum number of concurrent statements for push messages.
const DATABASE_TURNS: usize = 2;

/// Topic of test messages.
const TEST_TOPIC: &str = "library-test";

/// Minimum time between two test messages of a user. The limit of a device ends when its endpoint is removed, so it does
/// not suffice.
const TEST_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum time that a test message waits for other requests to its push service.
const TEST_PATIENCE: Duration = Duration::from_secs(2);

/// Number of users whose last test message is remembered.
const TESTERS: usize = 65_536;

/// Sends push messages. Cheap to clone.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    vapid: Vapid,
    template: NoticeTemplate,
    client: Client,
    limits: PushLimits,
    /// Concurrent statements.
    database_turns: Semaphore,
    /// Concurrent requests to each push service.
    concurrency: Concurrency,
    /// The push services that refused a message because of this server, until they accept one, by label.
    refusing: Mutex<HashSet<&'static str>>,
    /// The times of the last test messages.
    tests: Mutex<LruCache<UserId, Instant>>,
}

/// An accepted address of an endpoint.
#[derive(Clone)]
pub struct ServiceAddress {
    /// The address in its normal form.
    pub address: String,
    /// The push service: the name of its operator, or its host if the operator is unknown.
    pub service: String,
}

/// Why an endpoint is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEndpoint {
    /// Its address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] InvalidRecipient),
}

impl Push {
    /// Creates a sender.
    ///
    /// # Errors
    /// When the HTTP client cannot be created.
    pub fn new(
        vapid: Vapid,
        template: NoticeTemplate,
        limits: PushLimits,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self(Arc::new(Inner {
            concurrency: Concurrency::new(limits.push_concurrency),
            tests: Mutex::new(LruCache::unbounded()),
            database_turns: Semaphore::new(DATABASE_TURNS),
            client: client::client(limits.request_timeout())?,
            refusing: Mutex::default(),
            vapid,
            template,
            limits,
        })))
    }

    /// Returns the public key in base64url: the `applicationServerKey` of subscriptions.
    pub fn public_key(&self) -> &str {
        self.0.vapid.public_key()
    }

    /// Returns the limits.
    pub fn limits(&self) -> &PushLimits {
        &self.0.limits
    }

    /// Checks an endpoint, and returns its address in the normal form.
    ///
    /// # Errors
    /// When its address or a key is invalid.
    pub fn check(
        &self,
        address: &str,
        p256dh: &str,
        auth: &str,
    ) -> Result<ServiceAddress, InvalidEndpoint> {
        let (url, service) = check_address(address, self.0.limits.push_allow.as_ref())?;
        Recipient::parse(p256dh, auth)?;
        let address = url.into();
        Ok(ServiceAddress { address, service })
    }

    /// Returns whether the user may send a test message now, and counts it.
    pub(super) fn may_test(&self, user: &UserId) -> bool {
        let (now, mut tests) = (Instant::now(), self.0.tests.lock());
        if let Some(last) = tests.peek(user)
            && now.duration_since(*last) < TEST_INTERVAL
        {
            return false;
        }
        tests.put(user.clone(), now);
        if tests.len() > TESTERS {
            tests.pop_lru();
        }
        true
    }

    /// Sends a test message.
    pub(super) async fn send_test(&self, endpoint: &Claimed, head: Head) -> Response {
        let payload = self.0.template.test_payload(head);
        let permit = self.0.concurrency.permit(&endpoint.service);
        let Ok(_permit) = timeout(TEST_PATIENCE, permit).await else {
            return Response::Unreachable;
        };
        self.post(endpoint, &payload, TEST_TOPIC).await
    }

    /// Asks a push service for any answer, as a message would reach it. Returns the status that it answered.
    ///
    /// # Errors
    /// When it does not answer, or its name leads to a private address.
    pub async fn reach(&self, origin: &str) -> Result<u16, UnreachableService> {
        let allowed = self.0.limits.push_allow.as_ref();
        let (url, _) = check_address(origin, allowed).map_err(|_| UnreachableService::Private)?;
        client::reach(self.0.client.head(url)).await
    }

    /// Returns the words of notices.
    pub(super) fn template(&self) -> &NoticeTemplate {
        &self.0.template
    }

    /// Returns the concurrent requests.
    pub(super) fn concurrency(&self) -> &Concurrency {
        &self.0.concurrency
    }

    /// Waits until push messages may use another connection of the database. They use few, so that requests do not wait.
    pub(super) async fn database_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.database_turns.acquire().await.ok()
    }

    /// Sends a payload.
    pub(super) async fn send(&self, endpoint: &Claimed, payload: &[u8]) -> Response {
        self.post(endpoint, payload, TOPIC).await
    }

    async fn post(&self, endpoint: &Claimed, payload: &[u8], topic: &'static str) -> Response {
        let allowed = self.0.limits.push_allow.as_ref();
        // Checked again: the rules, or `--push-allow`, may have changed since the registration.
        let Ok((url, service)) = check_address(&endpoint.address, allowed) else {
            return Response::Private;
        };
        let Some((message, authorization)) = self.sealed(endpoint, payload, &url) else {
            return Response::Unreachable;
        };
        let request = self
            .0
            .client
            .post(url)
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header("ttl", TTL.as_secs())
            .header("urgency", "normal")
            .header("topic", topic)
            .body(message);
        let response = client::send(request).await;
        self.note(label_of(&service), response);
        response
    }

    /// Returns the encrypted message and the value of `Authorization`.
    fn sealed(
        &self,
        endpoint: &Claimed,
        payload: &[u8],
        service: &Url,
    ) -> Option<(Vec<u8>, String)> {
        let recipient = Recipient::parse(&endpoint.p256dh, &endpoint.auth).ok()?;
        let message = encrypt(&recipient, payload).ok()?;
        let authorization = self.0.vapid.authorization(service);
        match authorization {
            Ok(authorization) => Some((message, authorization)),
            Err(error) => {
                tracing::error!(%error, "a VAPID token cannot be signed");
                None
            }
        }
    }

    /// Logs a fault of this server once, until the push service accepts a message.
    fn note(&self, vendor: &'static str, response: Response) {
        let Some(status) = is_own_fault(response) else {
            if matches!(response, Response::Status(status, _) if status.is_success()) {
                self.0.refusing.lock().remove(vendor);
            }
            return;
        };
        if self.0.refusing.lock().insert(vendor) {
            tracing::error!(
                push.vendor = vendor,
                http.status = status.as_u16(),
                "a push service refuses messages: check --vapid-key and --vapid-subject; endpoints are retried hourly"
            );
        }
    }
}
