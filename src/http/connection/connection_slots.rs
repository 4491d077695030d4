//! Connection slots: how many connections are open in all and per client address, and which of them make room.
//!
//! In the flow: the accept loop takes a slot for each connection, and the socket holds it until it is closed.
//!
//! **Invariant:** no more slots are in use than the limit, and no address uses more than its share.
//! **Invariant:** when no slot is free, the oldest connection that has not authenticated is closed for the new one. So
//! anonymous connections keep no user out, and a client that authenticates at once always finds a slot.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::{Future as _, poll_fn},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::http::Extensions;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::http::client_address::client_address;

/// How many connections may be open.
#[derive(Debug, Clone, Copy)]
pub struct SlotLimits {
    /// In all.
    pub total: usize,
    /// From one address, or from one /64 network of IPv6; 0 for no limit.
    pub per_address: usize,
}

/// Why a connection gets no slot. All connections that hold one have authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum NoSlot {
    /// All slots are in use.
    Total,
    /// The address uses its share.
    Address,
}

impl NoSlot {
    /// The value of the label `reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

/// The connections that are open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectionSlots(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    limits: SlotLimits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    /// No entry means none.
    addresses: HashMap<IpAddr, OfAddress>,
    /// Those that have not authenticated, in the order in which they came, each with what tells it to close.
    unauthenticated: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    /// How many connections there ever were, which numbers them.
    ever: u64,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct OfAddress {
    count: usize,
    unauthenticated: BTreeSet<u64>,
}

impl Open {
    /// Which connection must close for a new one of `address`; `None` if there is a free slot.
    fn evicted_for(&self, address: IpAddr, limits: SlotLimits) -> Result<Option<u64>, NoSlot> {
        let of_address = self.addresses.get(&address);
        if limits.per_address > 0
            && let Some(of_address) = of_address.filter(|it| it.count >= limits.per_address)
        {
            let oldest = of_address.unauthenticated.first().copied();
            return oldest.map(Some).ok_or(NoSlot::Address);
        }
        if self.count >= limits.total {
            let oldest = self.unauthenticated.keys().next().copied();
            return oldest.map(Some).ok_or(NoSlot::Total);
        }
        Ok(None)
    }

    fn add(&mut self, address: IpAddr, close: oneshot::Sender<()>) -> u64 {
        let number = self.ever;
        self.ever += 1;
        self.count += 1;
        self.unauthenticated.insert(number, (address, close));
        let of_address = self.addresses.entry(address).or_default();
        of_address.count += 1;
        of_address.unauthenticated.insert(number);
        number
    }

    /// Keeps a connection from being evicted; `None` if it was evicted or kept before.
    fn keep(&mut self, number: u64) -> Option<(IpAddr, oneshot::Sender<()>)> {
        let kept = self.unauthenticated.remove(&number)?;
        if let Some(of_address) = self.addresses.get_mut(&kept.0) {
            of_address.unauthenticated.remove(&number);
        }
        Some(kept)
    }

    fn evict(&mut self, number: u64) {
        if let Some((address, close)) = self.keep(number) {
            counter!("library_sync_connections_evicted_total").increment(1);
            self.release(address);
            // The connection may have ended at this moment.
            let _ = close.send(());
        }
    }

    fn release(&mut self, address: IpAddr) {
        self.count -= 1;
        if let Some(of_address) = self.addresses.get_mut(&address) {
            of_address.count -= 1;
            if of_address.count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

impl ConnectionSlots {
    /// Starts with none in use.
    pub fn new(limits: SlotLimits) -> Self {
        Self(Arc::new(Registry {
            limits,
            open: Mutex::default(),
        }))
    }

    /// Takes a slot for a connection of `peer`, which may close the oldest one that has not authenticated.
    ///
    /// # Errors
    /// When all connections of the address, or all of them, have authenticated.
    pub(in crate::http) fn take(&self, peer: IpAddr) -> Result<Slot, NoSlot> {
        let address = client_address(peer);
        let (close, evicted) = oneshot::channel();
        let mut open = self.0.open.lock();
        if let Some(oldest) = open.evicted_for(address, self.0.limits)? {
            open.evict(oldest);
        }
        let number = open.add(address, close);
        drop(open);
        let held = Held {
            registry: Arc::clone(&self.0),
            address,
            number,
            is_authenticated: AtomicBool::new(false),
        };
        Ok(Slot {
            held: Arc::new(held),
            eviction: Eviction::Undecided(evicted),
        })
    }

    /// Sets the gauges.
    pub fn measure(&self) {
        let open = self.0.open.lock();
        let (all, unauthenticated) = (open.count, open.unauthenticated.len());
        drop(open);
        let set = |state, count: usize| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            gauge!("library_sync_connections", "state" => state).set(f64::from(count));
        };
        set("authenticated", all - unauthenticated);
        set("unauthenticated", unauthenticated);
        let most = u32::try_from(self.0.limits.total).unwrap_or(u32::MAX);
        gauge!("library_sync_max_connections").set(f64::from(most));
    }
}

/// The slot of one connection, until it is dropped.
#[derive(Debug)]
pub(in crate::http) struct Slot {
    held: Arc<Held>,
    eviction: Eviction,
}

/// Whether the connection must close for a newer one.
#[derive(Debug)]
enum Eviction {
    Undecided(oneshot::Receiver<()>),
    Never,
    Now,
}

#[derive(Debug)]
struct Held {
    registry: Arc<Registry>,
    address: IpAddr,
    number: u64,
    is_authenticated: AtomicBool,
}

impl Slot {
    /// The connection, as the requests on it know it.
    pub fn connection(&self) -> Connection {
        Connection(Arc::downgrade(&self.held))
    }

    /// Whether the connection must close for a newer one. Otherwise the task is woken when that, or the opposite, is
    /// decided.
    pub fn is_evicted(&mut self, cx: &mut Context<'_>) -> bool {
        if let Eviction::Undecided(evicted) = &mut self.eviction
            && let Poll::Ready(told) = Pin::new(evicted).poll(cx)
        {
            // Its sender is dropped when the connection has authenticated.
            self.eviction = told.map_or(Eviction::Never, |()| Eviction::Now);
        }
        matches!(self.eviction, Eviction::Now)
    }

    /// Waits until the connection must close for a newer one.
    pub async fn evicted(&mut self) {
        poll_fn(|cx| {
            if self.is_evicted(cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        let was_unauthenticated = open.keep(self.number).is_some();
        // One that is neither was evicted, and its slot is another's.
        if was_unauthenticated || *self.is_authenticated.get_mut() {
            open.release(self.address);
        }
    }
}

/// The connection that a request came on.
#[derive(Debug, Clone)]
pub(in crate::http) struct Connection(Weak<Held>);

impl Connection {
    /// Finds the connection of a request.
    pub fn of(request: &Extensions) -> Option<Self> {
        request.get().cloned()
    }

    /// Keeps the connection, however many others come: a user has authenticated on it.
    pub fn authenticate(&self) {
        let Some(held) = self.0.upgrade() else {
            return;
        };
        if held.is_authenticated.load(Ordering::Relaxed) {
            return;
        }
        let mut open = held.registry.open.lock();
        let kept = open.keep(held.number);
        if kept.is_some() {
            held.is_authenticated.store(true, Ordering::Relaxed);
        }
        drop(open);
        // Wakes the task of the connection, so not under the lock.
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn slots(total: usize, per_address: usize) -> ConnectionSlots {
        ConnectionSlots::new(SlotLimits { total, per_address })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn refused(slots: &ConnectionSlots, peer: &str) -> NoSlot {
        slots.take(address(peer)).unwrap_err()
    }

    fn must_close(slot: &mut Slot) -> bool {
        slot.evicted().now_or_never().is_some()
    }

    fn authenticated(slots: &ConnectionSlots, peer: &str) -> Slot {
        let slot = slots.take(address(peer)).unwrap();
        slot.connection().authenticate();
        slot
    }

    #[test]
    fn the_oldest_unauthenticated_connection_closes_for_a_new_one() {
        let slots = slots(3, 0);
        let mut user = authenticated(&slots, "10.0.0.1");
        let mut open = [2, 3, 4].map(|n| slots.take([10, 0, 0, n].into()).unwrap());
        assert_eq!(open.each_mut().map(must_close), [true, false, false]);
        assert!(!must_close(&mut user));
        open[1].connection().authenticate();
        let mut another = slots.take(address("10.0.0.5")).unwrap();
        assert_eq!(open.each_mut().map(must_close), [true, false, true]);
        another.connection().authenticate();
        assert_eq!(refused(&slots, "10.0.0.6"), NoSlot::Total);
        drop(user);
        assert!(slots.take(address("10.0.0.6")).is_ok());
        assert!(!must_close(&mut another));
    }

    #[test]
    fn an_address_has_its_share_whatever_is_free_besides() {
        let slots = slots(100, 2);
        let first = authenticated(&slots, "10.0.0.1");
        let mut second = slots.take(address("::ffff:10.0.0.1")).unwrap();
        let mut other = slots.take(address("10.0.0.2")).unwrap();
        let third = authenticated(&slots, "10.0.0.1");
        assert!(
            must_close(&mut second),
            "its own unauthenticated one goes first"
        );
        assert!(!must_close(&mut other));
        assert_eq!(refused(&slots, "10.0.0.1"), NoSlot::Address);
        // Dropped after it was evicted, it gives nothing back.
        drop(second);
        assert_eq!(refused(&slots, "10.0.0.1"), NoSlot::Address);
        drop(third);
        assert!(slots.take(address("10.0.0.1")).is_ok());
        drop(first);
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let slots = slots(100, 1);
        let _held = authenticated(&slots, "2001:db8:0:7::1");
        assert_eq!(refused(&slots, "2001:db8:0:7:1:2:3:4"), NoSlot::Address);
        assert!(slots.take(address("2001:db8:0:8::1")).is_ok());
    }

    #[test]
    fn nothing_is_kept_of_connections_that_ended() {
        let slots = slots(50, 30);
        for round in 0..100 {
            let open: Vec<_> = (0..60)
                .filter_map(|n| slots.take([10, 0, n % 3, round].into()).ok())
                .collect();
            for slot in open.iter().step_by(3) {
                slot.connection().authenticate();
            }
        }
        let open = slots.0.open.lock();
        assert_eq!((open.count, open.addresses.len()), (0, 0));
        assert!(open.unauthenticated.is_empty());
    }
}
