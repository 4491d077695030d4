//! [`Push`]: sends one message to one endpoint. The API and the worker share it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use reqwest::{Client, header};
use strum::VariantArray as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use url::Url;

use super::{
    answer::is_own_fault,
    client::{self, Response, UnreachableService},
    encryption::{InvalidRecipient, Recipient, encrypt},
    limits::{PushLimits, TTL},
    notice::NoticeTemplate,
    push_service::{InvalidAddress, Vendor, check_address},
    vapid::Vapid,
};
use crate::{library::Claimed, version::Head};

/// A new message replaces an undelivered one of the same topic (RFC 8030, section 5.4). The topic names no user, because
/// push services read it.
const TOPIC: &str = "library";

/// Maximum number of concurrent statements for push messages.
const DATABASE_TURNS: usize = 2;

/// Topic of test messages.
const TEST_TOPIC: &str = "library-test";

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
    permits: HashMap<Vendor, Arc<Semaphore>>,
    /// The push services that refused a message because of this server, until they accept one.
    refusing: Mutex<HashSet<Vendor>>,
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
        let permits = Vendor::VARIANTS.iter().map(|vendor| {
            let permits = Semaphore::new(limits.push_concurrency);
            (*vendor, Arc::new(permits))
        });
        Ok(Self(Arc::new(Inner {
            permits: permits.collect(),
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

    /// Checks an endpoint, and returns the label of its push service.
    ///
    /// # Errors
    /// When its address or a key is invalid.
    pub fn check(
        &self,
        address: &str,
        p256dh: &str,
        auth: &str,
    ) -> Result<&'static str, InvalidEndpoint> {
        let (_, vendor) = check_address(address, self.0.limits.push_allow.as_ref())?;
        Recipient::parse(p256dh, auth)?;
        Ok(vendor.name())
    }

    /// Sends a test message. Returns whether the push service accepted it, and the status that it answered, if it did.
    pub async fn test(&self, endpoint: &Claimed, head: Head) -> (bool, Option<u16>) {
        let payload = self.0.template.test_payload(head);
        match self.post(endpoint, &payload, TEST_TOPIC).await {
            Response::Status(status, _) => (status.is_success(), Some(status.as_u16())),
            Response::Private | Response::Unreachable => (false, None),
        }
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

    /// Returns the push services that take more requests now, and the number of requests that each of them takes at least.
    /// A push service that does not answer delays only its own messages.
    pub(super) fn free(&self) -> (Vec<&'static str>, usize) {
        let enough = self.0.limits.push_concurrency.div_ceil(4);
        let free = self.0.permits.iter();
        let free = free.map(|(vendor, permits)| (vendor.name(), permits.available_permits()));
        let free: Vec<_> = free.filter(|(_, count)| *count >= enough).collect();
        let least = free.iter().map(|(_, count)| *count).min();
        let names = free.into_iter().map(|(name, _)| name).collect();
        (names, least.unwrap_or(0))
    }

    /// Takes a permit for a request to the endpoint's push service.
    pub(super) fn permit(&self, endpoint: &Claimed) -> Option<OwnedSemaphorePermit> {
        let mut vendors = self.0.permits.iter();
        let (_, permits) = vendors.find(|(vendor, _)| vendor.name() == endpoint.vendor)?;
        Arc::clone(permits).try_acquire_owned().ok()
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
        let Ok((url, vendor)) = check_address(&endpoint.address, allowed) else {
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
        self.note(vendor, response);
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
    fn note(&self, vendor: Vendor, response: Response) {
        let Some(status) = is_own_fault(response) else {
            if matches!(response, Response::Status(status, _) if status.is_success()) {
                self.0.refusing.lock().remove(&vendor);
            }
            return;
        };
        if self.0.refusing.lock().insert(vendor) {
            tracing::error!(
                push.vendor = vendor.name(),
                http.status = status.as_u16(),
                "a push service refuses messages: check --vapid-key and --vapid-subject; endpoints are retried hourly"
            );
        }
    }
}
