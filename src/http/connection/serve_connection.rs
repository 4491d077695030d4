//! Serves one connection: with hyper until it ends, or until a response is a stream.
//!
//! In the flow: between the accept loop and the routes. hyper keeps 24 KiB of buffers for each connection, its task, and the
//! headers of the response that it serves. A stream is idle most of the time and lasts for an hour, so it leaves hyper and
//! continues as a small task. That lowers the memory of an idle stream by 90%.
//!
//! **Invariant:** the tracker of connections counts a stream until it has ended, before and after it leaves hyper.

use std::{net::SocketAddr, pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::{
    connection_slots::Connection, departure::Departure, detached_stream::DetachedStream,
    lingering_close::LingeringClose, write_deadline::Deadlined,
};

/// How long after the drain begins an open connection may still send a request.
///
/// hyper closes a connection that has no request even if the bytes of one have arrived. A proxy answers 502 for a POST
/// that it sent on such a connection, because it cannot know whether the server has begun it (RFC 9110, section 9.2.2).
pub(super) const LAST_REQUEST: Duration = Duration::from_millis(500);

/// What connections learn of a shutdown, and what learns of their ends.
#[derive(Clone)]
pub(super) struct Shutdown {
    /// Cancelled when the drain begins.
    pub drain: CancellationToken,
    /// Cancelled when the grace period is over.
    pub cut: CancellationToken,
    /// Tracks the connections.
    pub connections: TaskTracker,
}

/// Serves one connection until it ends, or until the cut during a drain.
pub(super) fn serve_connection(
    http: &http1::Builder,
    routes: Router,
    stream: Deadlined<LingeringClose>,
    (peer, connection): (SocketAddr, Connection),
    shutdown: Shutdown,
) -> impl Future<Output = ()> + use<> {
    let departure = Arc::new(Departure::new(stream.is_blocked()));
    let leaving = Arc::clone(&departure);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let version = request.version();
        let mut request = request.map(Body::new);
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(peer));
        extensions.insert(connection.clone());
        let response = routes.clone().call(request);
        let leaving = Arc::clone(&leaving);
        async move { leaving.pass(version, response.await).await }
    });
    let served = http.serve_connection(TokioIo::new(stream), service);
    async move {
        let mut served = served.with_upgrades();
        let Shutdown {
            drain,
            cut,
            connections,
        } = shutdown;
        let last_request = async {
            drain.cancelled().await;
            sleep(LAST_REQUEST).await;
        };
        let left = tokio::select! {
            biased;
            left = departure.leave(&mut served) => left,
            () = cut.cancelled() => None,
            () = last_request => {
                pin::Pin::new(&mut served).graceful_shutdown();
                tokio::select! {
                    left = departure.leave(&mut served) => left,
                    () = cut.cancelled() => None,
                }
            }
        };
        if let (Some(response), Some(parts)) = (left, served.into_parts()) {
            let stream = parts.io.into_inner();
            connections.spawn(DetachedStream::new(stream, response, cut));
        }
    }
}

#[cfg(test)]
mod tests;
