//! One viewer's stream of heads: what every transport translates and none adds to.
//!
//! In the flow: a transport calls [`Feed::follow`]; the hub wakes it; the library answers what the head is.
//!
//! **Invariant:** watch first, read second: a change between the two is seen twice rather than never.
//! **Invariant (monotone):** a stream yields its user's present head at once and then only greater ones.
//! **Invariant (converging):** [`Feed::keep_fresh`] re-reads every watched head once a period, so a stream is at most
//! that far behind even if every notice is lost; and at once where the broker says that one may have been.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{Notice, Signal},
    hub::Hub,
    library::{Error, Library},
    version::{Head, UserId},
};

/// How many heads one statement re-reads.
const RECHECK_BATCH: usize = 500;

/// Opens streams of heads. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    library: Library,
    hub: Arc<Hub>,
}

impl Feed {
    /// A feed of `library`'s heads, woken by `hub`.
    pub fn new(library: Library, hub: Arc<Hub>) -> Self {
        Self { library, hub }
    }

    /// The user's present head, and then each greater one, coalesced: a reader that is slow skips to the newest.
    ///
    /// The stream does not end by itself; its transport ends it when the token runs out or the server drains.
    ///
    /// # Errors
    /// When the head cannot be read.
    pub async fn follow(
        &self,
        user: &UserId,
    ) -> Result<impl Stream<Item = Head> + Send + use<>, Error> {
        let watch = self.hub.watch(user);
        let first = self.library.head(user).await?;
        Ok(stream::unfold(
            (watch, None),
            move |(mut watch, last)| async move {
                let head = match last {
                    None => first,
                    Some(last) => watch.greater(last).await,
                };
                Some((head, (watch, Some(head))))
            },
        ))
    }

    /// Re-reads the heads of all watched users once a `period`, and of those in doubt at once, until `stop`.
    pub async fn keep_fresh(&self, period: Duration, stop: CancellationToken) {
        let mut periods = tokio::time::interval_at(Instant::now() + period, period);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let users = tokio::select! {
                () = stop.cancelled() => return,
                _ = periods.tick() => self.hub.watched(),
                users = self.hub.doubted() => users,
            };
            if let Err(error) = self.recheck(&users).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "watched heads could not be re-read"
                );
            }
        }
    }

    async fn recheck(&self, users: &[UserId]) -> Result<(), Error> {
        for users in users.chunks(RECHECK_BATCH) {
            for (user, head) in self.library.heads(users).await? {
                self.hub.deliver(Signal::Notice(Notice { user, head }));
            }
        }
        Ok(())
    }
}
