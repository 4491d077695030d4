//! Limits the concurrent requests of this node to push services.
//!
//! Known operators have one limit each. Any other host has its own limit, so a host that does not answer delays only
//! its own messages. Users choose the hosts, so all of them together have a limit too.
//!
//! **Invariant:** a service has at most `most` requests in progress, and the unknown hosts at most `most` times
//! [`UNKNOWN_HOSTS`].

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use strum::VariantArray as _;
use tokio::sync::Notify;

use super::push_service::{Vendor, is_known};
use crate::library::Claimable;

/// Number of unknown hosts that can have their maximum of requests in progress.
const UNKNOWN_HOSTS: usize = 16;

/// The requests in progress. Cheap to clone.
#[derive(Clone)]
pub(super) struct Concurrency(Arc<Inner>);

struct Inner {
    /// Maximum number of concurrent requests to one service.
    most: usize,
    running: Mutex<Running>,
    ended: Notify,
}

#[derive(Default)]
struct Running {
    by_service: HashMap<String, usize>,
    unknown: usize,
}

/// Permission for one request, until it is dropped.
pub(super) struct Permit {
    inner: Arc<Inner>,
    service: String,
}

impl Concurrency {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            running: Mutex::default(),
            ended: Notify::new(),
        }))
    }

    /// Returns which services take more requests now, and the number that each of them takes at least. A service with
    /// few free permits waits until it has more, so that claims are not small.
    pub fn claimable(&self) -> Claimable {
        let most = self.0.most;
        let enough = most.div_ceil(4);
        let running = self.0.running.lock();
        let free = |service: &str| most - running.by_service.get(service).copied().unwrap_or(0);
        let mut least = usize::MAX;
        let mut known = known();
        known.retain(|service| {
            let takes = free(service) >= enough;
            if takes {
                least = least.min(free(service));
            }
            takes
        });
        let left = most * UNKNOWN_HOSTS - running.unknown;
        let other_than = (left >= enough).then(|| {
            least = least.min(left);
            let hosts = running
                .by_service
                .keys()
                .filter(|service| !is_known(service));
            let (busy, others): (Vec<_>, Vec<_>) = hosts.partition(|host| free(host) < enough);
            least = others
                .iter()
                .map(|host| free(host))
                .fold(least.min(most), usize::min);
            let busy = busy.into_iter().cloned();
            busy.chain(self::known().into_iter().map(str::to_owned))
                .collect()
        });
        let is_full = known.is_empty() && other_than.is_none();
        Claimable {
            services: known,
            other_than,
            most: if is_full { 0 } else { least },
        }
    }

    /// Takes a permit, unless the service has its maximum of requests in progress.
    pub fn try_permit(&self, service: &str) -> Option<Permit> {
        let mut running = self.0.running.lock();
        let is_unknown = !is_known(service);
        if is_unknown && running.unknown >= self.0.most * UNKNOWN_HOSTS {
            return None;
        }
        let count = running.by_service.entry(service.to_owned()).or_default();
        if *count >= self.0.most {
            return None;
        }
        *count += 1;
        running.unknown += usize::from(is_unknown);
        Some(Permit {
            inner: Arc::clone(&self.0),
            service: service.to_owned(),
        })
    }

    /// Waits for a permit.
    pub async fn permit(&self, service: &str) -> Permit {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            // A request that ends between the attempt and the wait is noticed.
            ended.as_mut().enable();
            if let Some(permit) = self.try_permit(service) {
                return permit;
            }
            ended.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut running = self.inner.running.lock();
        if let Some(count) = running.by_service.get_mut(&self.service) {
            *count -= 1;
            if *count == 0 {
                running.by_service.remove(&self.service);
            }
        }
        running.unknown -= usize::from(!is_known(&self.service));
        drop(running);
        self.inner.ended.notify_waiters();
    }
}

fn known() -> Vec<&'static str> {
    Vendor::VARIANTS
        .iter()
        .map(|vendor| vendor.name())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn take(concurrency: &Concurrency, service: &str, count: usize) -> Vec<Permit> {
        let permits = (0..count).map_while(|_| concurrency.try_permit(service));
        permits.collect()
    }

    #[test]
    fn a_service_has_at_most_its_maximum_of_requests() {
        let concurrency = Concurrency::new(3);
        for service in ["google", "mozilla", "a.example", "b.example"] {
            let permits = take(&concurrency, service, 9);
            assert_eq!(permits.len(), 3, "{service}");
            std::mem::forget(permits);
        }
        let claimable = concurrency.claimable();
        assert_eq!(claimable.services, ["apple", "microsoft"]);
        let busy = claimable.other_than.unwrap();
        assert!(busy.contains(&"a.example".to_owned()) && busy.contains(&"b.example".to_owned()));
        assert!(busy.contains(&"google".to_owned()), "no unknown host");
        assert_eq!(claimable.most, 3);
    }

    #[test]
    fn unknown_hosts_have_a_limit_together_that_others_do_not_notice() {
        let concurrency = Concurrency::new(2);
        let hosts: Vec<_> = (0..99).map(|n| format!("{n}.example")).collect();
        let permits: Vec<_> = hosts
            .iter()
            .flat_map(|host| take(&concurrency, host, 2))
            .collect();
        assert_eq!(permits.len(), 2 * UNKNOWN_HOSTS);
        let claimable = concurrency.claimable();
        assert_eq!((claimable.other_than, claimable.most), (None, 2));
        assert_eq!(take(&concurrency, "google", 9).len(), 2);
        drop(permits);
        assert!(concurrency.claimable().other_than.is_some());
        assert!(
            concurrency.0.running.lock().by_service.is_empty(),
            "no trace of a host"
        );
    }

    #[test]
    fn a_claim_does_not_exceed_the_free_permits_of_a_service() {
        let concurrency = Concurrency::new(16);
        assert_eq!(concurrency.claimable().most, 16);
        let permits = take(&concurrency, "a.example", 10);
        assert_eq!(concurrency.claimable().most, 6);
        let more = take(&concurrency, "a.example", 3);
        assert_eq!(concurrency.claimable().most, 16, "the host is excluded");
        drop((permits, more));
        let all: Vec<_> = known()
            .into_iter()
            .flat_map(|name| take(&concurrency, name, 16))
            .collect();
        let hosts: Vec<_> = (0..16)
            .flat_map(|n| take(&concurrency, &format!("{n}.example"), 16))
            .collect();
        assert_eq!(concurrency.claimable().most, 0);
        drop((all, hosts));
    }

    #[tokio::test]
    async fn a_permit_is_waited_for() {
        let concurrency = Concurrency::new(1);
        let first = concurrency.permit("google").await;
        let second = concurrency.permit("google");
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let waited = tokio::time::timeout(Duration::from_secs(5), second).await;
        assert!(waited.is_ok());
    }
}
