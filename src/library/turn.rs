//! Whose turn it is to write: the writes of one user wait here for each other, in the order in which they came.
//!
//! In the flow: [`Library::write`](super::Library::write) takes a turn before it takes a connection. Otherwise the writes
//! of one busy user would hold every connection of the pool while they wait for their user's row, and everybody else
//! would wait with them.
//!
//! **Invariant:** at most one write of a user holds a connection of this process.
//! **Invariant:** a user for whom nobody writes or waits is not remembered.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard};

use super::error::Error;
use crate::version::UserId;

/// The queues of those who write.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queues: Mutex<HashMap<UserId, Arc<Queue<()>>>>,
}

/// A user's turn, which ends when this is dropped.
pub(super) struct Turn {
    // Dropped in this order: the next in the queue may go on before the place is looked at.
    _held: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in a user's queue.
struct Place {
    turns: Arc<Turns>,
    user: UserId,
    queue: Option<Arc<Queue<()>>>,
}

impl Turns {
    /// Waits for the turn of `user`, but not longer than `patience`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it has not come by then.
    pub(super) async fn take(
        self: &Arc<Self>,
        user: &UserId,
        patience: Duration,
    ) -> Result<Turn, Error> {
        let queue = Arc::clone(self.queues.lock().entry(user.clone()).or_default());
        let place = Place {
            turns: Arc::clone(self),
            user: user.clone(),
            queue: Some(Arc::clone(&queue)),
        };
        let held = tokio::time::timeout(patience, queue.lock_owned())
            .await
            .map_err(|_| Error::unavailable("too many changes of one library wait"))?;
        Ok(Turn {
            _held: held,
            _place: place,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Under the lock, so that of two who leave at once the second sees that it is the last.
        let mut queues = self.turns.queues.lock();
        self.queue = None;
        if queues
            .get(&self.user)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            queues.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[tokio::test]
    async fn a_turn_waits_for_the_same_users_alone_and_not_for_ever() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(&user("ann"), PATIENCE).await.unwrap();
        turns.take(&user("bob"), Duration::ZERO).await.unwrap();
        let late = turns.take(&user("ann"), PATIENCE).await;
        assert_eq!(late.err().unwrap().code(), "UNAVAILABLE");
        drop(first);
        turns.take(&user("ann"), PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_is_remembered_who_has_left() {
        let turns = Arc::new(Turns::default());
        let first = turns.take(&user("ann"), PATIENCE).await.unwrap();
        let (second, late) = (user("ann"), user("ann"));
        let (second, ()) = tokio::join!(turns.take(&second, PATIENCE * 100), async {
            assert!(turns.take(&late, PATIENCE).await.is_err());
            drop(first);
        });
        assert_eq!(turns.queues.lock().len(), 1);
        drop(second);
        assert_eq!(turns.queues.lock().len(), 0);
    }
}
