//! The subscription root: the feed, as GraphQL.

use std::{pin::Pin, time::Duration};

use async_graphql::{Context, Subscription};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::{
    context::CallerExt as _,
    types::{LibraryEvent, LibraryEventKind},
};
use crate::{
    library::{Error, Library},
    version::{Head, UserId},
};

/// What you may be told as it happens.
pub(super) struct Subscription;

#[Subscription]
impl Subscription {
    /// The version of your library: the present one at once, and then each newer one. A reader that is slow skips to
    /// the newest, so the last one received is always the one to have.
    async fn library_version(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = i32> + use<>, Error> {
        let caller = ctx.caller();
        let heads = caller.feed.follow(&caller.viewer.user).await?;
        Ok(heads.map(|head| head.version.number()))
    }

    /// What happens to your library: the present version at once, then each change with what it touched and where it
    /// came from, and now and then a sign of life. Changes that follow each other quickly may be told as one.
    async fn library_events(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<LibraryEvent, Error>> + use<>, Error> {
        let caller = ctx.caller();
        let heads = caller.feed.follow(&caller.viewer.user).await?;
        let events = Events {
            heads: Box::pin(heads),
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

fn heartbeat(period: Duration) -> Interval {
    let mut heartbeat = interval_at(tokio::time::Instant::now() + period, period);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// One viewer's heads, on their way to being events.
struct Events<H> {
    heads: Pin<Box<H>>,
    last: Option<Head>,
    heartbeat: Interval,
    library: Library,
    user: UserId,
}

impl<H: Stream<Item = Head>> Events<H> {
    async fn next(&mut self) -> Option<Result<LibraryEvent, Error>> {
        let head = tokio::select! {
            head = self.heads.next() => head?,
            _ = self.heartbeat.tick() => {
                let last = self.last?;
                return Some(Ok(LibraryEvent::quiet(LibraryEventKind::Heartbeat, last)));
            }
        };
        let Some(last) = self.last.replace(head) else {
            return Some(Ok(LibraryEvent::quiet(LibraryEventKind::Connected, head)));
        };
        if last.epoch != head.epoch {
            return Some(Ok(LibraryEvent::of_change(head, None)));
        }
        let changed = self.library.changed(&self.user, last.version, head).await;
        Some(changed.map(|changed| LibraryEvent::of_change(head, changed)))
    }
}
