//! [`Detachable`]: the body of a stream, which the connection can take over from hyper.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;

/// The chunks of a stream's body, in the extensions of its response.
///
/// The response has an ordinary body too, for a caller of the routes that has no connection. It is empty once the chunks
/// are taken.
#[derive(Clone)]
pub(in crate::http) struct Detachable(Arc<Mutex<BoxStream<'static, Bytes>>>);

impl Detachable {
    /// Responds with `chunks`.
    pub fn respond(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Response {
        let detachable = Self(Arc::new(Mutex::new(Box::pin(chunks))));
        let body = Body::from_stream(Attached(detachable.clone()));
        let mut response = Response::new(body);
        response.extensions_mut().insert(detachable);
        response
    }

    /// Takes the chunks out of a response, if it is a stream.
    pub fn take(response: &mut Response) -> Option<BoxStream<'static, Bytes>> {
        let Self(chunks) = response.extensions_mut().remove()?;
        Some(std::mem::replace(
            &mut chunks.lock(),
            stream::empty().boxed(),
        ))
    }
}

/// The ordinary body.
struct Attached(Detachable);

impl Stream for Attached {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self(Detachable(chunks)) = self.get_mut();
        chunks.lock().poll_next_unpin(cx).map(|chunk| chunk.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    fn response() -> Response {
        let chunks = stream::iter(["a", "b"]).map(|text| Bytes::from_static(text.as_bytes()));
        Detachable::respond(chunks)
    }

    async fn body(response: Response) -> Bytes {
        to_bytes(response.into_body(), 10).await.unwrap()
    }

    #[tokio::test]
    async fn a_stream_that_is_not_taken_is_an_ordinary_body() {
        assert_eq!(body(response()).await, "ab");
    }

    #[tokio::test]
    async fn chunks_are_sent_once() {
        let mut response = response();
        let chunks = Detachable::take(&mut response).unwrap();
        assert_eq!(chunks.collect::<Vec<_>>().await, ["a", "b"]);
        assert!(Detachable::take(&mut response).is_none());
        assert_eq!(body(response).await, "");
    }
}
