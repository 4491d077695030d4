//! The WebSockets that are open and not acknowledged: nobody knows yet whose they are.
//!
//! **Invariant:** strangers hold no more sockets than the limit, and one address no more than its share.
//! **Invariant:** they keep nobody out: the oldest gives way to the newest, so a client that introduces itself at once
//! always finds room.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How many sockets there may be that are not acknowledged. 0 for no limit.
#[derive(Debug, Clone, Copy)]
pub struct PendingLimits {
    /// In all.
    pub total: usize,
    /// Of one address.
    pub per_address: usize,
}

/// That an address has its share, which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} WebSockets of your address wait for connection_init, as many as may; send it on them first"
)]
pub struct TooManyPending(pub usize);

/// The sockets that are not acknowledged. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PendingSockets(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    limits: PendingLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// In the order in which they came; each with what tells it to give way.
    sockets: BTreeMap<u64, (Option<IpAddr>, oneshot::Sender<()>)>,
    /// How many each address has; no entry means none.
    per_address: HashMap<IpAddr, usize>,
    /// How many there ever were, which numbers them.
    ever: u64,
}

impl Open {
    fn remove(&mut self, number: u64) -> Option<oneshot::Sender<()>> {
        let (address, give_way) = self.sockets.remove(&number)?;
        if let Some(address) = address
            && let Some(count) = self.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        Some(give_way)
    }
}

impl PendingSockets {
    /// Starts with none.
    pub fn new(limits: PendingLimits) -> Self {
        Self(Arc::new(Registry {
            limits,
            open: Mutex::default(),
        }))
    }

    /// Counts a socket until what is returned is dropped. If there are too many, the oldest is told to give way.
    ///
    /// # Errors
    /// When its address has its share.
    pub(super) fn enter(&self, address: Option<IpAddr>) -> Result<Pending, TooManyPending> {
        let PendingLimits { total, per_address } = self.0.limits;
        let mut open = self.0.open.lock();
        if let Some(address) = address {
            let count = open.per_address.entry(address).or_default();
            if per_address > 0 && *count >= per_address {
                counter!("library_sync_pending_sockets_refused_total", "reason" => "address")
                    .increment(1);
                return Err(TooManyPending(per_address));
            }
            *count += 1;
        }
        let (give_way, told) = oneshot::channel();
        let number = open.ever;
        open.ever += 1;
        open.sockets.insert(number, (address, give_way));
        if total > 0
            && open.sockets.len() > total
            && let Some(oldest) = open.sockets.keys().next().copied()
            && let Some(give_way) = open.remove(oldest)
        {
            counter!("library_sync_pending_sockets_refused_total", "reason" => "total")
                .increment(1);
            // The socket may have ended at this moment.
            let _ = give_way.send(());
        }
        Ok(Pending {
            sockets: self.clone(),
            number,
            told,
        })
    }
}

/// One socket that is not acknowledged.
#[derive(Debug)]
pub(super) struct Pending {
    sockets: PendingSockets,
    number: u64,
    told: oneshot::Receiver<()>,
}

impl Pending {
    /// Waits until the socket must give way to a newer one.
    pub async fn gives_way(&mut self) {
        if (&mut self.told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.sockets.0.open.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn sockets(total: usize, per_address: usize) -> PendingSockets {
        PendingSockets::new(PendingLimits { total, per_address })
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn must_give_way(pending: &mut Pending) -> bool {
        pending.gives_way().now_or_never().is_some()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let sockets = sockets(100, 2);
        let first = sockets.enter(Some(address(1))).unwrap();
        let _second = sockets.enter(Some(address(1))).unwrap();
        assert_eq!(
            sockets.enter(Some(address(1))).unwrap_err(),
            TooManyPending(2)
        );
        assert!(sockets.enter(Some(address(2))).is_ok());
        assert!(sockets.enter(None).is_ok());
        drop(first);
        assert!(sockets.enter(Some(address(1))).is_ok());
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let sockets = sockets(2, 0);
        let mut open: Vec<_> = (1..=3)
            .map(|n| sockets.enter(Some(address(n))).unwrap())
            .collect();
        let giving_way: Vec<_> = open.iter_mut().map(must_give_way).collect();
        assert_eq!(giving_way, [true, false, false]);
        drop(open.remove(1));
        let _another = sockets.enter(Some(address(4))).unwrap();
        assert!(!must_give_way(&mut open[1]), "there was room");
    }

    #[test]
    fn nothing_is_kept_of_those_that_ended_and_zero_is_no_limit() {
        let sockets = sockets(0, 0);
        let open: Vec<_> = (0..1000)
            .map(|_| sockets.enter(Some(address(1))).unwrap())
            .collect();
        drop(open);
        let open = sockets.0.open.lock();
        assert_eq!((open.sockets.len(), open.per_address.len()), (0, 0));
    }
}
