//! One viewer's stream of heads: what every transport translates and none adds to.
//!
//! In the flow: a transport calls [`Feed::follow`]; the hub wakes it; the library answers what the head is.
//!
//! **Invariant:** watch first, read second: a change between the two is seen twice rather than never.
//! **Invariant (monotone):** a stream yields its user's present head at once and then only greater ones; and once one
//! has yielded a head, every other stream of that user on this node has it, or a greater one, to yield next.
//! **Invariant (converging):** [`Feed::keep_fresh`] re-reads every watched head once a period, so a stream is at most
//! that far behind even if every notice is lost; and at once where the broker says that one may have been.
//! **Invariant:** a head that is read below one that was heard of begins a new epoch, so no stream goes deaf when the
//! database goes back in time.

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

/// How long to wait after heads could not be re-read, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

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
    /// `claims` is the head that the client says it was told last, if it says.
    ///
    /// The stream does not end by itself; its transport ends it when the token runs out or the server drains.
    ///
    /// # Errors
    /// When the head cannot be read.
    pub async fn follow(
        &self,
        user: &UserId,
        claims: Option<Head>,
    ) -> Result<impl Stream<Item = Head> + Send + use<>, Error> {
        let watch = self.hub.watch(user);
        self.note_heard(user);
        let first = self.library.head_given(user, claims).await?;
        // The notice may be late or lost: no other stream of the user here is to know less.
        self.hub.deliver(Signal::Notice(Notice {
            user: user.clone(),
            head: first,
        }));
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

    /// Re-reads the heads of all watched users once a `period`, and of those in doubt at once, until `ended`. Users
    /// whose heads cannot be read stay in doubt, and are tried again after a pause that grows up to a `period`.
    pub async fn keep_fresh(&self, period: Duration, ended: CancellationToken) {
        let mut periods = tokio::time::interval_at(Instant::now() + period, period);
        periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pause = FIRST_PAUSE;
        let work = async {
            loop {
                let users = tokio::select! {
                    _ = periods.tick() => self.hub.watched(),
                    users = self.hub.doubted() => users,
                };
                let unread = self.recheck(&users, pause == FIRST_PAUSE).await;
                if unread.is_empty() {
                    pause = FIRST_PAUSE;
                    continue;
                }
                self.hub.deliver(Signal::RecheckUsers(unread));
                tokio::time::sleep(pause.min(period)).await;
                pause = (pause * 2).min(period);
            }
        };
        tokio::select! {
            () = ended.cancelled() => {}
            () = work => {}
        }
    }

    /// Lets the library know of what notices said, so that a head which it reads below that is found out.
    fn note_heard(&self, user: &UserId) {
        if let Some(head) = self.hub.head(user) {
            self.library.heard(user, head);
        }
    }

    /// Re-reads heads, and returns the users whose were not read: those of the batch that failed and after it, since
    /// what fails one batch is most likely to fail the next.
    async fn recheck(&self, users: &[UserId], is_news: bool) -> Vec<UserId> {
        for (number, batch) in users.chunks(RECHECK_BATCH).enumerate() {
            for user in batch {
                self.note_heard(user);
            }
            match self.library.heads(batch).await {
                Ok(heads) => {
                    for (user, head) in heads {
                        self.hub.deliver(Signal::Notice(Notice { user, head }));
                    }
                }
                Err(error) => {
                    if is_news {
                        tracing::warn!(
                            error = error.causes(),
                            "watched heads cannot be re-read; streams hear of changes by notices alone until they can"
                        );
                    }
                    return users[number * RECHECK_BATCH..].to_vec();
                }
            }
        }
        Vec::new()
    }
}
