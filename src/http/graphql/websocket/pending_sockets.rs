//! Limits of the WebSockets that are pending: open, and without `connection_ack`.
//!
//! **Invariant:** at most [`PendingLimits`] sockets are pending, in total and per address.
//! **Invariant:** pending sockets do not lock clients out: the oldest is closed for the newest, so a client that sends
//! `connection_init` at once is always served.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Limits on the WebSockets that are not acknowledged.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct PendingLimits {
    /// Maximum number of WebSockets that wait for connection_ack. A new one beyond it closes the oldest with code 1013. 0
    /// disables the limit.
    #[arg(long, env, default_value_t = 3_000, value_name = "COUNT")]
    pub max_pending_sockets: usize,
    /// Maximum number of those from one client address. Further ones are refused. 0 disables the limit.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub max_pending_sockets_per_address: usize,
}

/// The refusal of an address at its limit, which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "too many WebSockets without connection_init: the limit per address is {0}; send it on them first"
)]
pub struct TooManyPending(pub usize);

/// The pending sockets of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PendingSockets(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    limits: PendingLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// By sequence number, so the first is the oldest. The channel asks a socket to close.
    sockets: BTreeMap<u64, (Option<IpAddr>, oneshot::Sender<()>)>,
    /// Sockets per address, without zero entries.
    per_address: HashMap<IpAddr, usize>,
    next_number: u64,
}

impl Open {
    fn remove(&mut self, number: u64) -> Option<oneshot::Sender<()>> {
        let (address, give_way) = self.sockets.remove(&number)?;
        if let Some(address) = address
            && let Entry::Occupied(mut count) = self.per_address.entry(address)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(give_way)
    }
}

impl PendingSockets {
    /// Creates an empty registry.
    pub fn new(limits: PendingLimits) -> Self {
        Self(Arc::new(Registry {
            limits,
            open: Mutex::default(),
        }))
    }

    /// Counts a socket until the result is dropped. Over the total, asks the oldest socket to close.
    ///
    /// # Errors
    /// When its address has reached its limit.
    pub(super) fn enter(&self, address: Option<IpAddr>) -> Result<Pending, TooManyPending> {
        let PendingLimits {
            max_pending_sockets: total,
            max_pending_sockets_per_address: per_address,
        } = self.0.limits;
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
        let (give_way, must_give_way) = oneshot::channel();
        let number = open.next_number;
        open.next_number += 1;
        open.sockets.insert(number, (address, give_way));
        if total > 0
            && open.sockets.len() > total
            && let Some(oldest) = open.sockets.keys().next().copied()
            && let Some(give_way) = open.remove(oldest)
        {
            counter!("library_sync_pending_sockets_refused_total", "reason" => "total")
                .increment(1);
            // The receiver is gone if the socket has just ended.
            let _ = give_way.send(());
        }
        Ok(Pending {
            sockets: self.clone(),
            number,
            must_give_way,
        })
    }
}

/// One pending socket.
#[derive(Debug)]
pub(super) struct Pending {
    sockets: PendingSockets,
    number: u64,
    must_give_way: oneshot::Receiver<()>,
}

impl Pending {
    /// Waits until the socket must close for a newer one.
    pub async fn gives_way(&mut self) {
        if (&mut self.must_give_way).await.is_err() {
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
        PendingSockets::new(PendingLimits {
            max_pending_sockets: total,
            max_pending_sockets_per_address: per_address,
        })
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn must_give_way(pending: &mut Pending) -> bool {
        pending.gives_way().now_or_never().is_some()
    }

    #[test]
    fn an_address_has_a_limit_and_a_dropped_socket_frees_its_slot() {
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
    fn nothing_is_kept_of_ended_sockets_and_zero_disables_a_limit() {
        let sockets = sockets(0, 0);
        let open: Vec<_> = (0..1000)
            .map(|_| sockets.enter(Some(address(1))).unwrap())
            .collect();
        drop(open);
        let open = sockets.0.open.lock();
        assert_eq!((open.sockets.len(), open.per_address.len()), (0, 0));
    }
}
