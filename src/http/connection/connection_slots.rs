//! Connection slots: limit the open connections in total and per client address, and choose which one to evict.
//!
//! In the flow: the accept loop takes a slot for each connection. The socket holds the slot until it is closed.
//!
//! **Invariant:** the slots in use never exceed the total limit, and those of one address never exceed its share.
//! **Invariant:** when no slot is free, a new connection evicts the oldest unauthenticated one. So anonymous
//! connections cannot lock users out.
//! **Invariant:** an evicted connection passes its slot on before its socket is closed. [`MAX_CLOSING`] limits how many
//! such sockets there are when the accept loop [waits](ConnectionSlots::closed).

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
use tokio::sync::{Notify, oneshot};

use crate::http::client_address::client_address;

/// Maximum number of evicted connections whose sockets are still open.
pub(in crate::http) const MAX_CLOSING: usize = 4;

/// Maximum numbers of open connections.
#[derive(Debug, Clone, Copy)]
pub struct SlotLimits {
    /// Maximum over all addresses.
    pub total: usize,
    /// Maximum for one address, or for one /64 network of IPv6. 0 means no limit.
    pub per_address: usize,
}

/// Why a connection gets no slot: all connections that could be evicted have authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum NoSlot {
    /// All slots are in use.
    Total,
    /// The address uses its share.
    Address,
}

impl NoSlot {
    /// Returns the value of the metric label `reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
        }
    }
}

/// The open connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ConnectionSlots(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    limits: SlotLimits,
    open: Mutex<Open>,
    /// Notified when the socket of an evicted connection is closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    count: usize,
    /// Number of evicted connections whose sockets are still open. Their slots are not counted above.
    closing: usize,
    /// The connections per address. An address without connections has no entry.
    addresses: HashMap<IpAddr, OfAddress>,
    /// Unauthenticated connections, oldest first, each with the sender of its eviction.
    unauthenticated: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    /// Number of connections since the start. It is the number of the next connection.
    ever: u64,
}

/// The open connections of one address.
#[derive(Debug, Default)]
struct OfAddress {
    count: usize,
    unauthenticated: BTreeSet<u64>,
}

impl Open {
    /// Returns the connection that a new one of `address` evicts, or `None` if a slot is free.
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

    /// Protects a connection from eviction. Returns `None` if it was evicted or protected before.
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
            self.closing += 1;
            // Sending fails if the connection has just ended.
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
    /// Creates slots that are all free.
    pub fn new(limits: SlotLimits) -> Self {
        Self(Arc::new(Registry {
            limits,
            open: Mutex::default(),
            closed: Notify::new(),
        }))
    }

    /// Takes a slot for a connection of `peer`. May evict the oldest unauthenticated connection.
    ///
    /// # Errors
    /// When no slot is free, and all connections of the address or of the server have authenticated.
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

    /// Waits until at most [`MAX_CLOSING`] evicted connections have an open socket. Has one waiter at a time.
    pub(in crate::http) async fn closed(&self) {
        while self.closing() > MAX_CLOSING {
            self.0.closed.notified().await;
        }
    }

    /// Returns the number of evicted connections whose sockets are still open.
    pub(in crate::http) fn closing(&self) -> usize {
        self.0.open.lock().closing
    }

    /// Sets the gauges of open connections and their limit.
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

/// The slot of one connection. Dropping it frees the slot.
#[derive(Debug)]
pub(in crate::http) struct Slot {
    held: Arc<Held>,
    eviction: Eviction,
}

/// Whether a newer connection evicts this one.
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
    /// Returns the handle that requests on this connection carry.
    pub fn connection(&self) -> Connection {
        Connection(Arc::downgrade(&self.held))
    }

    /// Whether a newer connection has evicted this one. While this is undecided, wakes the task of `cx` at the
    /// decision.
    pub fn is_evicted(&mut self, cx: &mut Context<'_>) -> bool {
        if let Eviction::Undecided(evicted) = &mut self.eviction
            && let Poll::Ready(decision) = Pin::new(evicted).poll(cx)
        {
            // The sender is dropped when the connection authenticates.
            self.eviction = decision.map_or(Eviction::Never, |()| Eviction::Now);
        }
        matches!(self.eviction, Eviction::Now)
    }

    /// Waits until a newer connection evicts this one.
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
        if was_unauthenticated || *self.is_authenticated.get_mut() {
            open.release(self.address);
        } else {
            // The connection was evicted, and the newer connection has its slot.
            open.closing -= 1;
            drop(open);
            self.registry.closed.notify_one();
        }
    }
}

/// The connection of a request.
#[derive(Debug, Clone)]
pub(in crate::http) struct Connection(Weak<Held>);

impl Connection {
    /// Returns the connection of a request, if the accept loop served it.
    pub fn of(request: &Extensions) -> Option<Self> {
        request.get().cloned()
    }

    /// Protects the connection from eviction, because a user has authenticated on it.
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
        // Dropping the sender wakes the task of the connection, so the lock is released first.
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use std::pin;

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
    fn an_address_is_limited_to_its_share_even_if_slots_are_free() {
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
        // An evicted connection does not free a slot when it is dropped.
        drop(second);
        assert_eq!(refused(&slots, "10.0.0.1"), NoSlot::Address);
        drop(third);
        assert!(slots.take(address("10.0.0.1")).is_ok());
        drop(first);
    }

    #[test]
    fn evicted_connections_are_waited_for_until_they_close() {
        let slots = slots(1, 0);
        let mut open: Vec<_> = (0..=MAX_CLOSING)
            .map(|_| slots.take(address("10.0.0.1")).unwrap())
            .collect();
        assert!(slots.closed().now_or_never().is_some());
        open.push(slots.take(address("10.0.0.1")).unwrap());
        let mut closed = pin::pin!(slots.closed());
        assert!(closed.as_mut().now_or_never().is_none());
        assert_eq!(slots.closing(), MAX_CLOSING + 1);
        // The newest has the slot.
        drop(open.pop());
        assert!(closed.as_mut().now_or_never().is_none());
        drop(open.pop());
        assert!(closed.now_or_never().is_some());
        drop(open);
        assert_eq!(slots.closing(), 0);
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
        assert_eq!(open.closing, 0);
        assert!(open.unauthenticated.is_empty());
    }
}
