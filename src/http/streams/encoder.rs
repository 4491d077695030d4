//! Encodes a stream of items as a response body, for server-sent events and multipart.
//!
//! **Invariant:** an item is taken from its stream only when the connection has room, so a slow reader has no queue: it
//! skips to the newest item.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{
    detachable::Detachable, end_reason::EndReason, end_signal::StreamEnd, registry::StreamPermit,
};

/// The format of a transport.
pub(in crate::http) trait Framing<T>: Send + Unpin + 'static {
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
pub(in crate::http) fn response<S, F>(
    permit: StreamPermit,
    items: S,
    mut framing: F,
    heartbeat: Duration,
) -> Response
where
    S: Stream + Send + Unpin + 'static,
    F: Framing<S::Item>,
{
    let preamble = framing.preamble();
    let mut ticks = tokio::time::interval_at(Instant::now() + heartbeat, heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let encoder = Encoder {
        preamble: Some(preamble).filter(|bytes| !bytes.is_empty()),
        open: Some(Open {
            items,
            framing,
            end: permit.end(),
            ticks,
            permit,
        }),
    };
    let mut response = Detachable::respond(encoder);
    let headers = response.headers_mut();
    headers.extend(self::headers(F::CONTENT_TYPE));
    // Without `close`, a proxy reuses the connection of a stream that the drain has ended, just before the server closes
    // it.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
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

/// The chunks of a stream's body.
struct Encoder<S, F> {
    preamble: Option<Bytes>,
    /// `None` after the end. The permit is then released, even if the last bytes are not written yet.
    open: Option<Open<S, F>>,
}

struct Open<S, F> {
    items: S,
    framing: F,
    end: StreamEnd,
    ticks: Interval,
    permit: StreamPermit,
}

impl<S: Stream + Unpin, F: Framing<S::Item>> Open<S, F> {
    /// Returns the next bytes, and whether they are the last.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Bytes, bool)> {
        // The end is polled first, so that a stream that is always ready ends too.
        if let Poll::Ready(reason) = self.end.poll_unpin(cx) {
            self.permit.note(reason.into());
            return Poll::Ready((self.framing.end(reason), true));
        }
        match self.items.poll_next_unpin(cx) {
            Poll::Ready(Some(item)) => return Poll::Ready((self.framing.item(item), false)),
            Poll::Ready(None) => {
                self.permit.note("completed");
                return Poll::Ready((self.framing.complete(), true));
            }
            Poll::Pending => {}
        }
        let tick = self.ticks.poll_tick(cx);
        tick.map(|_| (self.framing.heartbeat(), false))
    }
}

impl<S: Stream + Unpin, F: Framing<S::Item>> Stream for Encoder<S, F> {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        if let Some(preamble) = this.preamble.take() {
            return Poll::Ready(Some(preamble));
        }
        while let Some(open) = &mut this.open {
            let (bytes, is_last) = ready!(open.poll_next(cx));
            if is_last {
                this.open = None;
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(bytes));
            }
        }
        Poll::Ready(None)
    }
}
