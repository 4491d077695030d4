//! [`Departure`]: where a response that is a stream leaves hyper.
//!
//! In the flow: the service around the routes parks the response here instead of returning it to hyper, and the loop that
//! polls hyper takes it.
//!
//! **Invariant:** a response is taken only when all bytes that hyper has buffered are written. hyper 1.12 flushes a
//! response before it reads the next request, so that is only `100 Continue`. No document promises it.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use axum::{http::Version, response::Response};
use parking_lot::Mutex;

use super::{detached_stream::StreamResponse, response_head::BodyFraming};
use crate::http::streams::detachable::Detachable;

/// Where a response of one connection leaves hyper.
pub(super) struct Departure {
    response: Mutex<Option<StreamResponse>>,
    is_blocked: Arc<AtomicBool>,
}

impl Departure {
    /// Creates a departure. `is_blocked` says whether bytes of the connection wait for the peer to read.
    pub fn new(is_blocked: Arc<AtomicBool>) -> Self {
        Self {
            response: Mutex::default(),
            is_blocked,
        }
    }

    /// Returns a response for hyper. Parks a stream, and then never returns.
    pub async fn pass(
        &self,
        version: Version,
        response: Result<Response, Infallible>,
    ) -> Result<Response, Infallible> {
        let mut response = response?;
        if let Some(chunks) = Detachable::take(&mut response) {
            let framing = BodyFraming::of(version);
            *self.response.lock() = Some(StreamResponse {
                head: framing.head(response.status(), response.headers()),
                framing,
                chunks,
            });
            drop(response);
            pending().await
        } else {
            Ok(response)
        }
    }

    /// Polls hyper until it has ended, or until a stream leaves it.
    pub async fn leave<T>(
        &self,
        mut hyper: impl Future<Output = T> + Unpin,
    ) -> Option<StreamResponse> {
        poll_fn(|cx| {
            if Pin::new(&mut hyper).poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            // After each poll, hyper has tried to write all that it had buffered.
            if self.is_blocked.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.response
                .lock()
                .take()
                .map_or(Poll::Pending, |response| Poll::Ready(Some(response)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    #[test]
    fn a_stream_leaves_only_when_no_write_is_blocked() {
        let is_blocked = Arc::new(AtomicBool::new(true));
        let departure = Departure::new(Arc::clone(&is_blocked));
        let response = Detachable::respond(stream::empty());
        let passed = departure.pass(Version::HTTP_11, Ok(response));
        assert!(passed.now_or_never().is_none());
        let leave = || departure.leave(pending::<()>()).now_or_never().flatten();
        assert!(leave().is_none());
        is_blocked.store(false, Ordering::Relaxed);
        assert!(leave().is_some());
        assert!(leave().is_none());
    }

    #[test]
    fn other_responses_are_returned_to_hyper() {
        let departure = Departure::new(Arc::default());
        let passed = departure.pass(Version::HTTP_11, Ok(Response::default()));
        assert!(passed.now_or_never().is_some());
    }
}
