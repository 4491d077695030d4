//! Fair admission to the database: decides which user's work may use a connection next.
//!
//! In the flow: a read ([`Readers`](super::read_connection::Readers)) or a write
//! ([`Library::write`](crate::library::handle::Library::write)) takes a turn before a connection, and holds it while it
//! uses one. In a first-in-first-out queue, one greedy user would delay all others.
//!
//! **Invariant:** a user holds at most one turn to write, and at most [`State::reads`] turns to read.
//! **Invariant:** free turns go round-robin to the waiting users, however much work each has queued. The work of one user
//! runs in its order of arrival.
//! **Invariant:** a user without a turn and without waiting work uses no memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{library::error::Error, version::UserId};

/// Default limit of connections for one user's reads. SQLite's reads occupy this machine's cores, so there it is half of
/// them if that is less.
const USER_READS: usize = 4;

/// Returns the limit of concurrent queries, and of concurrent reads, for one user: `configured`, at most half of the
/// `connections`.
pub(in crate::library) fn reads_of_one_user(
    configured: Option<u32>,
    connections: usize,
    is_sqlite: bool,
) -> usize {
    let half = |of: usize| Ord::max(of / 2, 1);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let reads = match configured {
        Some(reads) => reads as usize,
        None if is_sqlite => USER_READS.min(half(cores())),
        None => USER_READS,
    };
    reads.min(half(connections))
}

/// The kind of work that a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::library) enum Act {
    /// A write. The user's row lock would serialize these anyway.
    Write,
    /// A read statement, or a snapshot.
    Read,
    /// A whole query. Its reads take their own turns.
    Query,
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Query => "query",
        }
    }
}

/// The fair queue of one pool of connections.
#[derive(Debug)]
pub(in crate::library) struct FairQueue(Mutex<State>);

/// A user and a kind of work.
type Key = (UserId, Act);

#[derive(Debug)]
struct State {
    /// Maximum turns to read, and maximum queries, for one user.
    reads: usize,
    /// Free turns. Positive only while no eligible user waits.
    free: usize,
    queues: HashMap<Key, Queue>,
    /// Users who wait and are below their limit, in the order in which they are served.
    rotation: VecDeque<Key>,
}

#[derive(Debug, Default)]
struct Queue {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Admission>>,
    /// Implies that `waiting` is not empty.
    is_in_rotation: bool,
}

/// Permission to use one connection, or to run one query. Dropping it releases the turn.
#[derive(Debug)]
#[must_use]
pub struct Admission {
    turns: Arc<FairQueue>,
    key: Key,
}

/// A position in a queue. Dropping it leaves the queue.
struct Place<'a> {
    turns: &'a FairQueue,
    key: &'a Key,
}

impl FairQueue {
    /// Creates a queue of `connections` turns. One user may hold at most `reads` to read.
    pub(in crate::library) fn new(connections: usize, reads: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            reads,
            free: connections,
            queues: HashMap::new(),
            rotation: VecDeque::new(),
        })))
    }

    /// Waits for a turn of `user`, at most for `patience`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] after `patience`. If the user's own work holds all their turns, it is not logged as a fault
    /// of the server.
    pub(in crate::library) async fn take(
        self: &Arc<Self>,
        user: &UserId,
        act: Act,
        patience: Duration,
    ) -> Result<Admission, Error> {
        let key = (user.clone(), act);
        let entered = self.0.lock().enter(&key);
        let Some(turn) = entered else {
            let turns = Arc::clone(self);
            return Ok(Admission { turns, key });
        };
        // `Drop for Admission` sends the next turn, with `self` in it.
        let place = Place {
            turns: self,
            key: &key,
        };
        if let Ok(Ok(turn)) = tokio::time::timeout(patience, turn).await {
            return Ok(turn);
        }
        let is_own_doing = self.0.lock().holds_all(&key);
        drop(place);
        Err(if is_own_doing {
            count_given_up(act, "user");
            Error::crowded()
        } else {
            given_up(act, patience)
        })
    }
}

/// Counts a wait for a connection that took longer than `patience`, and returns its error.
pub(super) fn given_up(act: Act, patience: Duration) -> Error {
    count_given_up(act, "database");
    Error::unavailable(format!("no connection was free within {patience:?}"))
}

fn count_given_up(act: Act, reason: &'static str) {
    counter!("library_sync_waits_given_up_total", "for" => act.name(), "reason" => reason)
        .increment(1);
}

impl State {
    /// Returns the maximum number of turns for `act` that one user may hold.
    fn most(&self, act: Act) -> usize {
        match act {
            Act::Write => 1,
            Act::Read | Act::Query => self.reads,
        }
    }

    /// Takes a free turn, or queues for one.
    fn enter(&mut self, key: &Key) -> Option<oneshot::Receiver<Admission>> {
        let most = self.most(key.1);
        let queue = self.queues.entry(key.clone()).or_default();
        if self.free > 0 && queue.held < most {
            self.free -= 1;
            queue.held += 1;
            return None;
        }
        let (sender, turn) = oneshot::channel();
        queue.waiting.push_back(sender);
        self.rotate(key);
        Some(turn)
    }

    /// Appends a waiting user who is below their limit to the rotation.
    fn rotate(&mut self, key: &Key) {
        let most = self.most(key.1);
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        if queue.held < most && !queue.waiting.is_empty() && !queue.is_in_rotation {
            queue.is_in_rotation = true;
            self.rotation.push_back(key.clone());
        }
    }

    /// Takes the next waiter off the rotation and gives them a turn.
    fn next(&mut self) -> Option<(Key, oneshot::Sender<Admission>)> {
        if self.free == 0 {
            return None;
        }
        let key = self.rotation.pop_front()?;
        let queue = self.queues.get_mut(&key)?;
        queue.is_in_rotation = false;
        let sender = queue.waiting.pop_front()?;
        queue.held += 1;
        self.free -= 1;
        self.rotate(&key);
        Some((key, sender))
    }

    /// Returns whether the user holds their maximum of turns.
    fn holds_all(&self, key: &Key) -> bool {
        let held = self.queues.get(key).map_or(0, |queue| queue.held);
        held >= self.most(key.1)
    }

    /// Removes waiters who have left, and the user's queue if it is empty.
    fn tidy(&mut self, key: &Key) {
        let Some(queue) = self.queues.get_mut(key) else {
            return;
        };
        queue.waiting.retain(|sender| !sender.is_closed());
        if queue.waiting.is_empty() && std::mem::take(&mut queue.is_in_rotation) {
            self.rotation.retain(|next| next != key);
        }
        if queue.waiting.is_empty() && queue.held == 0 {
            self.queues.remove(key);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.turns.0.lock();
        state.free += 1;
        if let Some(queue) = state.queues.get_mut(&self.key) {
            queue.held -= 1;
        }
        state.rotate(&self.key);
        let next = state.next();
        state.tidy(&self.key);
        // A receiver that is gone drops the turn at once, which needs the lock.
        drop(state);
        if let Some((key, sender)) = next {
            let turns = Arc::clone(&self.turns);
            let _ = sender.send(Admission { turns, key });
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.0.lock().tidy(self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    /// Takes a turn that must be free.
    fn now(turns: &Arc<FairQueue>, name: &str, act: Act) -> Option<Admission> {
        let user = user(name);
        let turn = turns.take(&user, act, PATIENCE).now_or_never();
        turn.map(Result::unwrap)
    }

    /// Waits for a turn, and sends its user's name.
    fn queue(
        turns: &Arc<FairQueue>,
        name: &'static str,
        came: &tokio::sync::mpsc::UnboundedSender<(&'static str, Admission)>,
    ) -> tokio::task::JoinHandle<()> {
        let (turns, came) = (Arc::clone(turns), came.clone());
        tokio::spawn(async move {
            let turn = turns.take(&user(name), Act::Read, PATIENCE * 100).await;
            let _ = came.send((name, turn.unwrap()));
        })
    }

    #[tokio::test]
    async fn one_user_is_limited_even_if_turns_are_free() {
        let turns = FairQueue::new(10, 2);
        let write = now(&turns, "ann", Act::Write).unwrap();
        let reads = [now(&turns, "ann", Act::Read), now(&turns, "ann", Act::Read)];
        assert!(now(&turns, "ann", Act::Write).is_none());
        assert!(now(&turns, "ann", Act::Read).is_none());
        assert!(now(&turns, "bob", Act::Read).is_some());
        drop((write, reads));
        assert!(now(&turns, "ann", Act::Write).is_some());
        assert!(now(&turns, "ann", Act::Read).is_some());
    }

    #[tokio::test]
    async fn waiting_users_are_served_round_robin() {
        let turns = FairQueue::new(1, 1);
        let (sender, mut came) = tokio::sync::mpsc::unbounded_channel();
        let first = now(&turns, "eve", Act::Read).unwrap();
        for name in ["eve", "eve", "eve", "eve", "ann", "bob", "ann"] {
            queue(&turns, name, &sender);
            tokio::task::yield_now().await;
        }
        drop(first);
        let mut served = Vec::new();
        while served.len() < 7 {
            let (name, turn) = came.recv().await.unwrap();
            served.push(name);
            drop(turn);
        }
        assert_eq!(served, ["ann", "bob", "eve", "ann", "eve", "eve", "eve"]);
    }

    #[tokio::test]
    async fn a_wait_times_out_with_the_reason() {
        let turns = FairQueue::new(2, 1);
        let _held = now(&turns, "ann", Act::Read).unwrap();
        let own = turns.take(&user("ann"), Act::Read, PATIENCE).await;
        let own = own.unwrap_err();
        assert_eq!((own.code(), own.causes()), ("UNAVAILABLE", None));
        let _other = now(&turns, "bob", Act::Read).unwrap();
        let other = turns.take(&user("cat"), Act::Read, PATIENCE).await;
        let other = other.unwrap_err();
        assert_eq!(other.code(), "UNAVAILABLE");
        assert!(other.causes().is_some(), "an overloaded server is logged");
    }

    #[tokio::test]
    async fn an_abandoned_wait_is_skipped() {
        let turns = FairQueue::new(1, 1);
        let (sender, mut came) = tokio::sync::mpsc::unbounded_channel();
        let first = now(&turns, "eve", Act::Read).unwrap();
        let gone = queue(&turns, "ann", &sender);
        tokio::task::yield_now().await;
        queue(&turns, "bob", &sender);
        tokio::task::yield_now().await;
        gone.abort();
        drop(first);
        assert_eq!(came.recv().await.unwrap().0, "bob");
    }

    #[tokio::test]
    async fn a_user_who_has_left_uses_no_memory() {
        let turns = FairQueue::new(1, 1);
        let first = now(&turns, "ann", Act::Read).unwrap();
        for name in ["ann", "bob"] {
            assert!(turns.take(&user(name), Act::Read, PATIENCE).await.is_err());
        }
        drop(first);
        let state = turns.0.lock();
        assert_eq!((state.queues.len(), state.rotation.len()), (0, 0));
        assert_eq!(state.free, 1);
    }
}
