//! Rate limits: requests per address before authentication, and operations per user after it.
//!
//! **Invariant:** a client over its limit gets `Retry-After`, and takes no capacity from others.

use std::{
    hash::Hash,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{Extensions, HeaderMap, HeaderName, request::Parts},
};
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use metrics::counter;

use super::client_address::client_address;
use crate::version::UserId;

/// Size of a burst, in seconds' worth of requests.
const BURST_SECONDS: u32 = 10;

/// Rate limits on requests.
#[derive(Debug, Clone, clap::Args)]
pub struct RateLimits {
    /// Maximum request rate of one user, per second, with bursts of ten seconds' worth. 0 disables the limit.
    #[arg(long, env, default_value_t = 100, value_name = "COUNT")]
    pub max_user_rate: u32,
    /// Maximum request rate of one client address, per second, with bursts of ten seconds' worth. 0 disables the limit.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub max_address_rate: u32,
    /// Header in which your proxy sends the client address, such as `x-forwarded-for`. The last entry counts. Without this
    /// setting, all clients behind a proxy share the proxy's address.
    #[arg(long, env, value_name = "HEADER")]
    pub client_address_header: Option<HeaderName>,
}

/// Counts recent requests per user and per address.
pub struct RateLimiter {
    users: Option<Limiter<UserId>>,
    addresses: Option<Limiter<IpAddr>>,
    address_header: Option<HeaderName>,
}

/// A request over a rate limit. Holds when to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; retry in {} s", .0.as_secs())]
pub struct RateLimited(pub Duration);

impl RateLimiter {
    /// Creates a limiter that has counted nothing.
    pub fn new(limits: RateLimits) -> Self {
        Self {
            users: Limiter::new(limits.max_user_rate),
            addresses: Limiter::new(limits.max_address_rate),
            address_header: limits.client_address_header,
        }
    }

    /// Counts an operation of a user.
    ///
    /// # Errors
    /// When the user is over the limit.
    pub fn user(&self, user: &UserId) -> Result<(), RateLimited> {
        let users = self.users.as_ref();
        users.map_or(Ok(()), |users| users.count(user, "user"))
    }

    /// Counts a request of an address.
    pub(super) fn address(&self, request: &Request) -> Result<(), RateLimited> {
        let Some(addresses) = &self.addresses else {
            return Ok(());
        };
        let address = self.address_of(request.headers(), request.extensions());
        address.map_or(Ok(()), |address| {
            addresses.count(&client_address(address), "address")
        })
    }

    /// Returns the address that identifies a request's client.
    pub(super) fn client(&self, request: &Parts) -> Option<IpAddr> {
        let address = self.address_of(&request.headers, &request.extensions);
        address.map(client_address)
    }

    /// Returns the address of a request's client, and whether a proxy named it in the configured header.
    pub(super) fn address_and_source(&self, request: &Parts) -> (Option<IpAddr>, bool) {
        let is_forwarded = self.forwarded(&request.headers).is_some();
        (
            self.address_of(&request.headers, &request.extensions),
            is_forwarded,
        )
    }

    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        self.address_header.as_ref().and_then(|name| {
            let value = headers.get_all(name).iter().next_back()?.as_bytes();
            // The client controls the bytes before the proxy's entry, so they can be invalid UTF-8.
            let last = value.rsplit(|byte| *byte == b',').next()?;
            let last = std::str::from_utf8(last).ok()?.trim();
            // Some proxies add the port.
            let with_port = || Some(last.parse::<SocketAddr>().ok()?.ip());
            last.parse().ok().or_else(with_port)
        })
    }

    fn address_of(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        self.forwarded(headers)
            .or_else(|| peer.map(|peer| peer.0.ip()))
    }

    /// Removes clients that are within their limits again.
    pub fn forget_the_idle(&self) {
        self.users.iter().for_each(Limiter::forget_the_idle);
        self.addresses.iter().for_each(Limiter::forget_the_idle);
    }
}

struct Limiter<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(per_second: u32) -> Option<Self> {
        let rate = NonZeroU32::new(per_second)?;
        let burst = rate.saturating_mul(NonZeroU32::new(BURST_SECONDS)?);
        let quota = Quota::per_second(rate).allow_burst(burst);
        Some(Self(governor::RateLimiter::keyed(quota)))
    }

    fn count(&self, key: &K, of: &'static str) -> Result<(), RateLimited> {
        self.0.check_key(key).map_err(|not_until| {
            counter!("library_sync_requests_too_fast_total", "of" => of).increment(1);
            // `Retry-After` has whole seconds. At least 1, so that the retry is not too early.
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            RateLimited(Duration::from_secs(wait.as_secs() + 1))
        })
    }

    fn forget_the_idle(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::HeaderValue};

    use super::*;

    fn address_of(rate_limiter: &RateLimiter, request: &Request) -> Option<IpAddr> {
        rate_limiter.address_of(request.headers(), request.extensions())
    }

    fn rate_limiter(per_user: u32, per_address: u32, header: Option<&'static str>) -> RateLimiter {
        let address_header = header.map(HeaderName::from_static);
        RateLimiter::new(RateLimits {
            max_user_rate: per_user,
            max_address_rate: per_address,
            client_address_header: address_header,
        })
    }

    fn from(peer: &str, forwarded: &[&str]) -> Request {
        let mut request = Request::new(Body::empty());
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        for value in forwarded {
            request
                .headers_mut()
                .append("x-forwarded-for", value.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_rate_limited_user_gets_a_retry_delay_and_other_users_are_not_limited() {
        let rate_limiter = rate_limiter(1, 0, None);
        let (ann, bob) = (UserId::new("ann").unwrap(), UserId::new("bob").unwrap());
        let refused = (0..20).find_map(|_| rate_limiter.user(&ann).err()).unwrap();
        assert!((1..=2).contains(&refused.0.as_secs()), "{refused:?}");
        assert_eq!(rate_limiter.user(&bob), Ok(()));
    }

    #[test]
    fn zero_disables_a_limit() {
        let rate_limiter = rate_limiter(0, 0, None);
        let ann = UserId::new("ann").unwrap();
        assert!((0..10_000).all(|_| rate_limiter.user(&ann).is_ok()));
    }

    #[test]
    fn the_address_is_the_peers_unless_a_proxy_is_trusted() {
        let request = from("10.0.0.1:1", &["1.1.1.1", "2.2.2.2, 3.3.3.3"]);
        assert_eq!(
            address_of(&rate_limiter(0, 1, None), &request),
            Some("10.0.0.1".parse().unwrap())
        );
        let trusting = rate_limiter(0, 1, Some("x-forwarded-for"));
        assert_eq!(
            address_of(&trusting, &request),
            Some("3.3.3.3".parse().unwrap()),
            "the entry that the proxy added"
        );
        for (entry, address) in [
            ("4.4.4.4:80", "4.4.4.4"),
            ("[2001:db8::1]:80", "2001:db8::1"),
        ] {
            let request = from("10.0.0.1:1", &[entry]);
            assert_eq!(address_of(&trusting, &request), address.parse().ok());
        }
        let mut request = from("10.0.0.1:1", &[]);
        let value = HeaderValue::from_bytes(b"\xff, 5.5.5.5").unwrap();
        request.headers_mut().append("x-forwarded-for", value);
        assert_eq!(address_of(&trusting, &request), "5.5.5.5".parse().ok());
        assert_eq!(
            address_of(&trusting, &from("10.0.0.1:1", &["junk"])),
            Some("10.0.0.1".parse().unwrap())
        );
    }
}
