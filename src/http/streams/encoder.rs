//! A stream of items as the bytes of a response that stays open: what server-sent events and multipart share.
//!
//! **Invariant:** an item is taken from its stream only when the connection has room for it, so a slow reader is never
//! queued for: it skips to the newest.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::registry::{EndReason, StreamPermit};

/// How a transport writes what happens.
pub(in crate::http) trait Framing<T>: Send + 'static {
    /// The response's `Content-Type`.
    const CONTENT_TYPE: HeaderValue;

    /// What comes before everything else.
    fn preamble(&mut self) -> Bytes {
        Bytes::new()
    }

    /// One item.
    fn item(&mut self, item: T) -> Bytes;

    /// That the stream lives.
    fn heartbeat(&mut self) -> Bytes;

    /// That there are no more items.
    fn complete(&mut self) -> Bytes;

    /// That the server ends the stream; the client may open another.
    fn end(&mut self, reason: EndReason) -> Bytes;
}

/// Answers with `items`, framed, until they or the permit end.
pub(in crate::http) fn response<T, F>(
    permit: StreamPermit,
    items: impl Stream<Item = T> + Send + 'static,
    mut framing: F,
    heartbeat: Duration,
) -> Response
where
    T: Send + 'static,
    F: Framing<T>,
{
    let preamble = framing.preamble();
    let mut ticks = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let encoder = Encoder {
        items: items.boxed(),
        framing,
        end: Box::pin(permit.end()),
        ticks,
        permit,
    };
    let rest = stream::unfold(Some(encoder), |encoder| async {
        let (bytes, encoder) = encoder?.next().await;
        Some((bytes, encoder))
    });
    let chunks = stream::iter([preamble])
        .chain(rest)
        .filter(|bytes| std::future::ready(!bytes.is_empty()));
    let mut response = Body::from_stream(chunks.map(Ok::<_, Infallible>)).into_response();
    response.headers_mut().extend(headers(F::CONTENT_TYPE));
    response
}

/// Answers HEAD for a stream: its headers, of which none tells a length (RFC 9110, section 9.3.2).
pub(in crate::http) fn head(content_type: HeaderValue) -> Response {
    // Only the length of a body that is known would be told.
    let unknown = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    (headers(content_type), unknown).into_response()
}

/// What a stream's response says of itself: nothing on the way may keep it, change it, or hold parts of it back.
pub(in crate::http) fn headers(content_type: HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_TYPE, content_type),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-transform"),
        ),
        // nginx, and others after it, buffer responses unless this tells them not to.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ]
}

struct Encoder<T, F> {
    items: BoxStream<'static, T>,
    framing: F,
    end: BoxFuture<'static, EndReason>,
    ticks: Interval,
    permit: StreamPermit,
}

impl<T, F: Framing<T>> Encoder<T, F> {
    /// The next bytes, and what continues unless they were the last.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        tokio::select! {
            // The end comes first, or a stream that is always busy would never end.
            biased;
            reason = &mut self.end => {
                self.permit.note(reason.into());
                (self.framing.end(reason), None)
            }
            item = self.items.next() => if let Some(item) = item {
                (self.framing.item(item), Some(self))
            } else {
                self.permit.note("completed");
                (self.framing.complete(), None)
            },
            _ = self.ticks.tick() => (self.framing.heartbeat(), Some(self)),
        }
    }
}
