//! Wraps every request: sets its id, opens its span and records its metrics. After the stop signal, it also closes the
//! connection.
//!
//! **Invariant:** log lines and metrics contain only the id, method, route, status and duration of a request. The log
//! line of a fault also contains the user. None contains the query (which may hold a ticket), the headers or the body.

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use metrics::{counter, histogram};
use tokio::time::Instant;
use tower_http::request_id::RequestId;
use tracing::Instrument as _;
use uuid::Uuid;

use super::malformed_request;
use crate::http::{error::Fault, request_user::RequestUser, state::Node};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a request id from a client or a proxy, in bytes.
const MAX_REQUEST_ID: usize = 64;

/// Runs the request in a span with its id, and adds the id to the response.
pub(in crate::http) async fn observe(
    State(node): State<Node>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers().get(REQUEST_ID));
    let user = RequestUser::default();
    request.extensions_mut().insert(RequestId::new(id.clone()));
    request.extensions_mut().insert(user.clone());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", MatchedPath::as_str)
        .to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!(
        "request",
        request.id = id.to_str().unwrap_or_default(),
        http.method = %method,
        http.route = route,
    );
    let began = Instant::now();
    let mut response = match malformed_request::check(&request) {
        Ok(()) => next.run(request).instrument(span.clone()).await,
        Err(error) => error.into_response(),
    };
    let (status, took) = (response.status(), began.elapsed());
    span.in_scope(|| {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(http.status = status.as_u16(), duration_ms, "answered");
        if let Some(fault) = response.extensions_mut().remove::<Fault>() {
            fault.log(user.user());
        }
    });
    counter!("library_sync_http_requests_total", "route" => route.clone(), "status" => status.as_u16().to_string())
        .increment(1);
    histogram!("library_sync_http_request_seconds", "route" => route).record(took.as_secs_f64());
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Without `close`, the next request on a keep-alive connection could arrive after the node has stopped.
    if node.stopping.is_cancelled() && status != StatusCode::SWITCHING_PROTOCOLS {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns the id from the request if it is valid, so that logs match those of a proxy. Otherwise returns a new id.
fn request_id(given: Option<&HeaderValue>) -> HeaderValue {
    let is_id = |id: &&HeaderValue| {
        (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let fresh = || {
        let id = Uuid::now_v7().to_string();
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
    };
    given.filter(is_id).cloned().unwrap_or_else(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_only_if_it_is_short_and_printable() {
        for (given, taken) in [
            ("abc-1", true),
            ("", false),
            ("a b", false),
            (&"a".repeat(65), false),
        ] {
            let given = HeaderValue::from_str(given).unwrap();
            assert_eq!(request_id(Some(&given)) == given, taken, "{given:?}");
        }
        assert_eq!(request_id(None).len(), 36);
    }
}
