//! The keys of a key server (JWKS): cached, and refreshed in the background as they rotate.
//!
//! A token with a cached key never waits for the network. Cached keys stay in use while the key server is down. Only an
//! unknown key id makes a request wait for a fetch. Fetches run one at a time, and at most once per
//! [`JwksTiming::refetch`], so that forged ids cannot overload the key server.
//!
//! **Invariant:** a failed fetch removes no key.
//! **Invariant:** a token is refused for an unknown key id only after a fetch that began after the token arrived. Until the
//! next fetch is permitted, the id may belong to a new key, and the client gets a retry delay.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use reqwest::{StatusCode, redirect};
use tokio::task::AbortHandle;
use url::{Host, Url};

use super::{
    InvalidKey,
    accepted_tokens::KeysFingerprint,
    jwk::{KeySet, NoKey, NoKeySet},
    key::Key,
    rejection::Rejection,
};

/// Maximum size of a JWKS, in bytes. Typical ones have a few thousand.
const MAX_DOCUMENT_BYTES: usize = 256 << 10;

/// Timing of the fetches from a key server.
#[derive(Debug, Clone, Copy)]
pub struct JwksTiming {
    /// Maximum age of cached keys before they are fetched again. Defaults to 5 minutes.
    pub refresh: Duration,
    /// Minimum interval between two fetches, and the retry delay of a failed fetch. Defaults to 30 seconds.
    pub refetch: Duration,
    /// Timeout of a fetch. Defaults to 5 seconds.
    pub timeout: Duration,
}

impl Default for JwksTiming {
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(5),
            refetch: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
        }
    }
}

#[derive(Debug)]
pub(super) struct Jwks {
    url: Url,
    client: reqwest::Client,
    timing: JwksTiming,
    keys: ArcSwap<KeySet>,
    flight: Mutex<Option<Flight>>,
    /// When the cached keys were fetched.
    fetched: Mutex<Option<Instant>>,
}

/// The latest fetch. Requests await `landed`, which is true if the fetch returned keys.
#[derive(Debug)]
struct Flight {
    begun: Instant,
    task: AbortHandle,
    landed: Landed,
}

/// The result of a fetch: whether it returned keys.
type Landed = Shared<BoxFuture<'static, bool>>;

impl Jwks {
    /// Creates the cache and starts its background refresh, which ends when the last use is dropped.
    pub(super) fn start(url: &str, timing: JwksTiming) -> Result<Arc<Self>, InvalidKey> {
        let jwks = Arc::new(Self::new(url, timing)?);
        tokio::spawn(keep_fresh(Arc::downgrade(&jwks)));
        Ok(jwks)
    }

    /// Creates the cache.
    fn new(url: &str, timing: JwksTiming) -> Result<Self, InvalidKey> {
        let (url, is_local) = address(url).map_err(InvalidKey::Address)?;
        let client = reqwest::Client::builder()
            .timeout(timing.timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("library-sync/", env!("CARGO_PKG_VERSION")));
        let client = if is_local {
            client.no_proxy()
        } else {
            client.https_only(true)
        };
        Ok(Self {
            url,
            client: client.build().map_err(|error| InvalidKey::client(&error))?,
            timing,
            keys: ArcSwap::default(),
            flight: Mutex::default(),
            fetched: Mutex::default(),
        })
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.keys.load().is_empty()
    }

    /// Identifies the cached keys.
    pub(super) fn fingerprint(&self) -> KeysFingerprint {
        self.keys.load().fingerprint
    }

    /// Finds the key of a token, in the cache or at the key server, and identifies the keys that it is one of.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(Arc<Key>, KeysFingerprint), Rejection> {
        self.find_at(kid, algorithm, Instant::now()).await
    }

    async fn find_at(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Instant,
    ) -> Result<(Arc<Key>, KeysFingerprint), Rejection> {
        match self.find_cached(kid, algorithm) {
            Ok(found) => return Ok(found),
            Err(NoKey::SeveralFit) => return Err(Rejection::SeveralKeysFit),
            Err(NoKey::UnknownId | NoKey::NoneFits) => {}
        }
        let (begun, landed) = self.latest_fetch(now);
        if !landed.await {
            return Err(Rejection::Unavailable);
        }
        match self.find_cached(kid, algorithm) {
            Ok(found) => Ok(found),
            Err(NoKey::SeveralFit) => Err(Rejection::SeveralKeysFit),
            Err(NoKey::NoneFits) => Err(Rejection::NoKeyFits),
            Err(NoKey::UnknownId) if begun >= now => Err(Rejection::Untrusted),
            Err(NoKey::UnknownId) => {
                let wait = (begun + self.timing.refetch).saturating_duration_since(now);
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
                Err(Rejection::UnknownKey(seconds.saturating_add(1)))
            }
        }
    }

    fn find_cached(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<(Arc<Key>, KeysFingerprint), NoKey> {
        let keys = self.keys.load();
        let key = keys.find(kid, algorithm)?;
        Ok((Arc::clone(key), keys.fingerprint))
    }

    /// Returns the current or a recent fetch, or else starts one. Returns its start time and its result.
    fn latest_fetch(self: &Arc<Self>, now: Instant) -> (Instant, Landed) {
        let mut flight = self.flight.lock();
        if let Some(Flight {
            begun,
            task,
            landed,
        }) = &*flight
            && (!task.is_finished() || now.saturating_duration_since(*begun) < self.timing.refetch)
        {
            return (*begun, landed.clone());
        }
        // In a separate task: a client that disconnects must not cancel a fetch that others wait for.
        let fetch = tokio::spawn(Arc::clone(self).refresh());
        let task = fetch.abort_handle();
        let landed = fetch.map(|ended| ended.unwrap_or(false)).boxed().shared();
        *flight = Some(Flight {
            begun: now,
            task,
            landed: landed.clone(),
        });
        (now, landed)
    }

    async fn refresh(self: Arc<Self>) -> bool {
        let fetched = self.fetch().await;
        let outcome = fetched.as_ref().map_or_else(FetchError::outcome, |_| "ok");
        metrics::counter!("library_sync_jwks_fetches_total", "outcome" => outcome).increment(1);
        let is_ok = fetched.is_ok();
        let mut fetched_at = self.fetched.lock();
        match fetched {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                *fetched_at = Some(Instant::now());
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                jwks.host = self.url.host_str(),
                jwks.age_s = fetched_at.map(|at| at.elapsed().as_secs()),
                "cannot fetch keys from the key server; cached keys stay in use",
            ),
        }
        if let Some(at) = *fetched_at {
            metrics::gauge!("library_sync_jwks_age_seconds").set(at.elapsed().as_secs_f64());
        }
        is_ok
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if document.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(FetchError::TooLong);
            }
            document.extend_from_slice(&chunk);
        }
        Ok(KeySet::parse(&document)?)
    }
}

/// Fetches the keys of a key server once, and returns the number of usable keys. For `library-sync doctor`.
///
/// # Errors
/// When the address is invalid, the server does not answer, or it publishes no usable key.
pub async fn count_keys(url: &str) -> Result<usize, CannotCountKeys> {
    let jwks = Jwks::new(url, JwksTiming::default())?;
    let keys = jwks
        .fetch()
        .await
        .map_err(|error| CannotCountKeys(error.into()))?;
    Ok(keys.len())
}

/// Why the keys of a key server cannot be counted.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct CannotCountKeys(Box<dyn std::error::Error + Send + Sync>);

impl From<InvalidKey> for CannotCountKeys {
    fn from(error: InvalidKey) -> Self {
        Self(error.into())
    }
}

/// Refreshes the keys periodically until the last use is dropped.
async fn keep_fresh(jwks: Weak<Jwks>) {
    while let Some(jwks) = jwks.upgrade() {
        let (_, landed) = jwks.latest_fetch(Instant::now());
        let is_fresh = landed.await;
        let JwksTiming {
            refresh, refetch, ..
        } = jwks.timing;
        drop(jwks);
        tokio::time::sleep(if is_fresh { refresh } else { refetch }).await;
    }
}

/// Parses the URL of a key server. Returns whether it is on localhost.
fn address(url: &str) -> Result<(Url, bool), &'static str> {
    let url = Url::parse(url).map_err(|_| "is not a valid URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password");
    }
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err("has no host"),
    };
    match url.scheme() {
        "https" => Ok((url, is_local)),
        "http" if is_local => Ok((url, is_local)),
        _ => Err("must be https, except on localhost, to protect the keys in transit"),
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no response")]
    Unreachable(#[source] reqwest::Error),
    #[error("it returned {0}")]
    Status(StatusCode),
    #[error("the response exceeds {MAX_DOCUMENT_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    NoKeys(#[from] NoKeySet),
}

impl FetchError {
    /// Returns the label `outcome` of the metric.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::TooLong | Self::NoKeys(_) => "invalid",
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // The query of a URL may contain a secret.
        Self::Unreachable(error.without_url())
    }
}

#[cfg(test)]
mod tests;
