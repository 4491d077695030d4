//! Encodes a stream of items as a response body, for server-sent events and multipart.
//!
//! **Invariant:** an item is taken from its stream only when the connection has room, so a slow reader has no queue: it
//! skips to the newest item.

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

use super::{end_reason::EndReason, registry::StreamPermit};

/// The format of a transport.
pub(in crate::http) trait Framing<T>: Send + 'static {
    /// The response's `Content-Type`.
    const CONTENT_TYPE: HeaderValue;

    /// Returns the bytes before the first item.
    fn preamble(&mut self) -> Bytes {
        Bytes::new()
    }

    /// Encodes one item.
    fn item(&mut self, item: T) -> Bytes;

    /// Encodes a heartbeat.
    fn heartbeat(&mut self) -> Bytes;

    /// Encodes that the items have ended.
    fn complete(&mut self) -> Bytes;

    /// Encodes that the server ends the stream. The client can open another.
    fn end(&mut self, reason: EndReason) -> Bytes;
}

/// Responds with encoded `items` until they or the permit end.
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
    let rest = stream::unfold(Some(encoder), async |encoder| Some(encoder?.next().await));
    let chunks = stream::iter([preamble])
        .chain(rest)
        .filter(|bytes| std::future::ready(!bytes.is_empty()));
    let body = Body::from_stream(chunks.map(Ok::<_, Infallible>));
    // Without `close`, a proxy reuses the connection of a stream that the drain has ended, just before the server closes
    // it.
    let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
    (headers(F::CONTENT_TYPE), close, body).into_response()
}

/// Answers HEAD for a stream, without `Content-Length` (RFC 9110, section 9.3.2).
pub(in crate::http) fn head(content_type: HeaderValue) -> Response {
    // hyper adds `Content-Length` for a body of known length.
    let unknown = Body::from_stream(stream::empty::<Result<Bytes, Infallible>>());
    (headers(content_type), unknown).into_response()
}

/// Returns the headers of a stream. They forbid caches, transformations and buffering.
pub(in crate::http) fn headers(content_type: HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    let cache_control = HeaderValue::from_static("no-cache, no-transform");
    // nginx, and proxies that copied it, buffer responses without this header.
    let buffering = HeaderName::from_static("x-accel-buffering");
    [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, cache_control),
        (buffering, HeaderValue::from_static("no")),
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
    /// Returns the next bytes, and the encoder unless they are the last.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        tokio::select! {
            // The end is polled first, so that a stream that is always ready ends too.
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
