//! The subscription root: the feed as GraphQL subscriptions.
//!
//! **Invariant:** each head of the feed is reported, even if the kinds of changed rows cannot be read.

use std::{pin::Pin, time::Duration};

use async_graphql::{Context, Subscription};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::{
    context::{Caller, CallerExt as _},
    types::{LibraryEvent, LibraryEventKind},
};
use crate::{
    library::{Changed, Error, Library},
    version::{Head, UserId},
};

/// The subscription root.
pub(super) struct Subscription;

/// Changes of the library as they happen.
#[Subscription]
impl Subscription {
    /// Version of the library: the current one at once, then each newer one. Versions are coalesced: a slow client skips
    /// to the newest.
    async fn library_version(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = i32> + use<>, Error> {
        let caller = ctx.caller();
        let heads = heads(caller).await?;
        Ok(heads.map(|head| head.version.number()))
    }

    /// Events of the library: the current version at once, then each change with the kinds of rows that it touched and the
    /// device that made it, and heartbeats. Changes are coalesced: several may be one event.
    async fn library_events(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = LibraryEvent> + use<>, Error> {
        let caller = ctx.caller();
        let events = Events {
            heads: Box::pin(heads(caller).await?),
            last: None,
            heartbeat: heartbeat(caller.limits.heartbeat),
            library: caller.library.clone(),
            user: caller.viewer.user.clone(),
        };
        Ok(stream::unfold(events, async |mut events| {
            Some((events.next().await?, events))
        }))
    }
}

/// Returns the caller's heads. Each head raises the version that its event states.
async fn heads(caller: &Caller) -> Result<impl Stream<Item = Head> + use<>, Error> {
    let (user, issued_at) = (&caller.viewer.user, caller.viewer.issued_at);
    let events = caller.feed.follow(user, issued_at, None, caller.transport);
    // Boxed, because the engine keeps the room for it as long as the subscription lasts.
    let (events, reached) = (events.boxed().await?, caller.reached.clone());
    Ok(events.map(move |event| {
        reached.raise(event.head);
        event.head
    }))
}

fn heartbeat(period: Duration) -> Interval {
    let mut heartbeat = interval_at(tokio::time::Instant::now() + period, period);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// State of one `libraryEvents` stream.
struct Events<H> {
    heads: Pin<Box<H>>,
    last: Option<Head>,
    heartbeat: Interval,
    library: Library,
    user: UserId,
}

impl<H: Stream<Item = Head>> Events<H> {
    async fn next(&mut self) -> Option<LibraryEvent> {
        let head = tokio::select! {
            head = self.heads.next() => head?,
            _ = self.heartbeat.tick() => {
                return Some(LibraryEvent::quiet(LibraryEventKind::Heartbeat, self.last?));
            }
        };
        let Some(last) = self.last.replace(head) else {
            return Some(LibraryEvent::quiet(LibraryEventKind::Connected, head));
        };
        let changed = changed(&self.library, &self.user, last, head).await;
        Some(LibraryEvent::of_change(last, head, changed))
    }
}

/// Returns the changes between two heads. `None` if they are unknown, so anything may have changed.
async fn changed(library: &Library, user: &UserId, last: Head, head: Head) -> Option<Changed> {
    if last.epoch != head.epoch {
        return None;
    }
    let changed = library.changed(user, last.version, head).await;
    // Report the head even if this read fails: the feed does not send it again.
    changed.unwrap_or_else(|error| {
        tracing::warn!(
            user.id = user.as_str(),
            library.version = head.version.number(),
            error.causes = error.causes().unwrap_or_else(|| error.to_string()),
            "what changed cannot be read, so anything is said to have"
        );
        None
    })
}
