//! The webhook: calls another server for each changed user, signed as Standard Webhooks.
//!
//! **Invariant:** a call for the same head has the same id, so the receiver can recognise a repetition.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac::{self, HMAC_SHA256},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use metrics::counter;
use parking_lot::Mutex;
use reqwest::{Client, header};
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use url::Url;

use super::{
    answer::{backoff, longer},
    client::{self, Response, UnreachableService},
    limits::PushLimits,
};
use crate::{
    library::{Error, Kind, Library, WebhookCall},
    version::Head,
};

/// Backoff after a failed call: initial and maximum.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// Doublings of the backoff that do not exceed [`MAX_BACKOFF`], so that jitter remains.
const MAX_DOUBLINGS: u32 = 8;

/// Number of failed calls in a row after which the receiver counts as unavailable.
const TOLERATED: u32 = 8;

/// Length of a secret, in bytes (Standard Webhooks).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a webhook is misconfigured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhook {
    /// Its address.
    #[error("must be an http or https URL")]
    Url,
    /// Its secret.
    #[error("must be `whsec_` and 24 to 64 bytes in base64")]
    Secret,
}

/// The receiver of the webhook. Cheap to clone.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    url: Url,
    key: hmac::Key,
    client: Client,
    limits: PushLimits,
    permits: Arc<Semaphore>,
    health: Mutex<Health>,
}

/// Whether the receiver answers. While it does not, one call at a time probes it.
struct Health {
    /// Failed calls since the last success.
    failures: u32,
    resume_at: Instant,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook")
    }
}

impl Webhook {
    /// Creates the webhook.
    ///
    /// # Errors
    /// When the address or the secret is invalid.
    pub fn new(url: &str, secret: &str, limits: PushLimits) -> Result<Self, InvalidWebhook> {
        let url = Url::parse(url).map_err(|_| InvalidWebhook::Url)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(InvalidWebhook::Url);
        }
        let secret = secret
            .strip_prefix("whsec_")
            .ok_or(InvalidWebhook::Secret)?;
        let secret = BASE64_STANDARD.decode(secret).ok();
        let secret = secret.filter(|secret| SECRET_BYTES.contains(&secret.len()));
        let secret = secret.ok_or(InvalidWebhook::Secret)?;
        let client = client::trusted_client(limits.request_timeout());
        Ok(Self(Arc::new(Inner {
            url,
            key: hmac::Key::new(HMAC_SHA256, &secret),
            client: client.map_err(|_| InvalidWebhook::Url)?,
            permits: Arc::new(Semaphore::new(limits.push_concurrency)),
            limits,
            health: Mutex::new(Health {
                failures: 0,
                resume_at: Instant::now(),
            }),
        })))
    }

    /// Asks the receiver for any answer. Returns the status that it answered.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn reach(&self) -> Result<u16, UnreachableService> {
        client::reach(self.0.client.head(self.0.url.clone())).await
    }

    /// Returns the limits.
    pub(super) fn limits(&self) -> &PushLimits {
        &self.0.limits
    }

    /// Takes permits for as many calls as may begin now: one if the receiver is unavailable, and none during its backoff.
    pub(super) fn permits(&self) -> Vec<OwnedSemaphorePermit> {
        let most = {
            let health = self.0.health.lock();
            match health.failures {
                0..TOLERATED => usize::MAX,
                _ if health.resume_at <= Instant::now() => 1,
                _ => 0,
            }
        };
        let take = || Arc::clone(&self.0.permits).try_acquire_owned().ok();
        std::iter::from_fn(take).take(most).collect()
    }

    /// Calls the receiver for a user, and stores the outcome.
    pub(super) async fn call(self, library: Library, call: WebhookCall) {
        if let Err(error) = self.try_call(&library, &call).await {
            tracing::debug!(
                error.causes = error.causes(),
                "a webhook call waits for the database"
            );
        }
    }

    async fn try_call(&self, library: &Library, call: &WebhookCall) -> Result<(), Error> {
        if call.known >= call.head {
            return library.webhook_called(call).await;
        }
        let changes = library
            .change_summary(&call.user, call.known, call.head, false)
            .await?;
        let kinds: Vec<_> = changes.kinds.into_iter().map(name).collect();
        let body = json!({
            "user": call.user,
            "epoch": call.head.epoch,
            "version": call.head.version,
            "kinds": kinds,
        });
        let response = self.post(call, &body.to_string()).await;
        let is_accepted = is_accepted(response);
        let outcome = if is_accepted { "ok" } else { "failed" };
        counter!("library_sync_webhook_calls_total", "outcome" => outcome).increment(1);
        if is_accepted {
            library.webhook_called(call).await
        } else {
            let after = wait(response, call.failures);
            library.webhook_failed(call, after).await
        }
    }

    async fn post(&self, call: &WebhookCall, body: &str) -> Response {
        let id = id(call.user.as_str(), call.head);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let timestamp = since.unwrap_or_default().as_secs();
        let request = self
            .0
            .client
            .post(self.0.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", sign(&self.0.key, &id, timestamp, body))
            .body(body.to_owned());
        let response = client::send(request).await;
        self.note(response);
        response
    }

    fn note(&self, response: Response) {
        let mut health = self.0.health.lock();
        if is_accepted(response) {
            health.failures = 0;
            return;
        }
        if health.failures == 0 {
            tracing::warn!(
                http.status = response.status().map(|status| status.as_u16()),
                "the webhook's receiver does not accept calls; retrying with backoff"
            );
        }
        if health.resume_at > Instant::now() {
            // A call that began before the backoff.
            return;
        }
        health.failures = health.failures.saturating_add(1);
        if let Some(doublings) = health.failures.checked_sub(TOLERATED) {
            health.resume_at = Instant::now() + wait(response, doublings);
        }
    }
}

fn is_accepted(response: Response) -> bool {
    response.status().is_some_and(|status| status.is_success())
}

/// Returns the time until a failed call is repeated.
fn wait(response: Response, failures: u32) -> Duration {
    let asked = match response {
        Response::Status(_, retry_after) => retry_after,
        Response::Private | Response::Unreachable => None,
    };
    let backoff = backoff(failures.min(MAX_DOUBLINGS), FIRST_BACKOFF);
    longer(backoff, asked, MAX_BACKOFF)
}

/// Returns the id of the call for a user's head.
fn id(user: &str, head: Head) -> String {
    let digest = digest(&SHA256, format!("{head} {user}").as_bytes());
    format!(
        "evt_{}",
        BASE64_URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16])
    )
}

/// Signs a call (Standard Webhooks, "Signature scheme").
fn sign(key: &hmac::Key, id: &str, timestamp: u64, body: &str) -> String {
    let signed = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(signed))
}

/// Returns the name of a kind, as the API spells it.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Story => "STORY",
        Kind::Progress => "PROGRESS",
        Kind::Tag => "TAG",
        Kind::Fandom => "FANDOM",
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;
    use reqwest::StatusCode;

    use super::*;
    use crate::version::testing::head;

    fn webhook(url: &str, secret: &str) -> Result<Webhook, InvalidWebhook> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let command = PushLimits::augment_args(clap::Command::new("test"));
        let limits = clap::FromArgMatches::from_arg_matches(&command.get_matches_from(["test"]));
        Webhook::new(url, secret, limits.unwrap())
    }

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the libraries of Standard Webhooks.
        let secret = BASE64_STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        let key = hmac::Key::new(HMAC_SHA256, &secret);
        let body = r#"{"test": 2432232314}"#;
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_repeated_call_has_the_same_id_and_another_head_or_user_has_another() {
        assert_eq!(id("ann", head(1, 2)), id("ann", head(1, 2)));
        assert_ne!(id("ann", head(1, 2)), id("ann", head(1, 3)));
        assert_ne!(id("ann", head(1, 2)), id("bob", head(1, 2)));
    }

    #[test]
    fn a_receiver_is_called_again_after_the_backoff_or_later_and_within_5_minutes() {
        let failed = |asked: Option<u64>, failures: u32| {
            let asked = asked.map(Duration::from_secs);
            wait(
                Response::Status(StatusCode::TOO_MANY_REQUESTS, asked),
                failures,
            )
        };
        for asked in [None, Some(0), Some(1)] {
            assert!(
                (Duration::from_secs(12)..=Duration::from_secs(16)).contains(&failed(asked, 4))
            );
        }
        assert_eq!(failed(Some(60), 2), Duration::from_mins(1));
        assert_eq!(failed(Some(u64::MAX), 0), MAX_BACKOFF);
        assert!((Duration::from_secs(191)..=MAX_BACKOFF).contains(&failed(None, u32::MAX)));
    }

    #[test]
    fn a_webhook_needs_an_http_url_and_a_secret_of_the_standard_form() {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode([1; 24]));
        assert!(webhook("https://app.example/hook", &secret).is_ok());
        for url in ["", "app.example", "ftp://app.example"] {
            assert_eq!(
                webhook(url, &secret).unwrap_err(),
                InvalidWebhook::Url,
                "{url}"
            );
        }
        let short = format!("whsec_{}", BASE64_STANDARD.encode([1; 23]));
        for secret in ["", &secret[6..], &short, "whsec_*"] {
            let invalid = webhook("https://app.example/hook", secret).unwrap_err();
            assert_eq!(invalid, InvalidWebhook::Secret);
        }
    }
}
