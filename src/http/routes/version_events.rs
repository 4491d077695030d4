//! `GET /api/library-version-events`: the user's heads as server-sent events, in the format of the older web app.
//!
//! ```text
//! retry: 4217
//! id: 1763809200000.41
//! data: {"type":"connected","timestamp":1763809215123,"version":41}
//!
//! id: 1763809200000.42
//! data: {"type":"library_version_update","timestamp":1763809216001,"version":42}
//!
//! data: {"type":"heartbeat","timestamp":1763809245123,"version":42}
//!
//! event: auth_expired
//! data: {"type":"auth_expired","timestamp":1763812815123}
//! ```
//!
//! The older page acts on every unnamed message whose `version` is a number. So these messages keep their keys in this
//! order. `auth_expired` is a named event, so a page that does not listen for it ignores it.
//!
//! An update whose mutation was traced has one more key, `traceparent`.
//!
//! A client that reconnects sends the last head that it saw in `Last-Event-ID`. `connected` then has one more key,
//! `resume`, with the result of the comparison: `up_to_date`, `behind`, `ahead`, `other_epoch` or `erased`. After
//! `other_epoch` the client must reload its data, because versions of different epochs are not comparable. After `erased`
//! it must drop its data and its unsent changes too, because the account was erased. A head that is `ahead` can
//! begin a new epoch, but only if it is of the user's current epoch. An id from the stream of another user in the same
//! browser is `other_epoch`.
//!
//! After any status but 200, an `EventSource` in a browser does not reconnect. So while the server drains, or the
//! database or the key server is unavailable, it gets a stream that contains only the reconnection delay and ends:
//! ```text
//! retry: 3301
//! : UNAVAILABLE
//! ```
//! Every `EventSource` sends `text/event-stream` in `Accept`. A client without it gets 503 with `Retry-After`. All
//! clients get the status of a refusal that is not temporary: 401, 403 and exceeded limits.
//!
//! **Invariant:** the stream never contains client input, so a header cannot inject a line into it.

use std::{cmp::Ordering, fmt::Write as _, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use metrics::counter;
use time::OffsetDateTime;

use crate::{
    auth::Ask,
    feed::FeedEvent,
    http::{
        device::RequestDevice,
        error::HttpError,
        graphql::accept_header,
        state::Node,
        streams::{
            encoder::{self, Framing},
            end_reason::EndReason,
            registry::Transport,
        },
    },
    trace::TraceParent,
    unix_time,
    version::{Epoch, Head},
};

/// Minimum delay before a client reconnects.
const RETURN: Duration = Duration::from_secs(1);
/// Jitter added to that delay, so that clients do not all reconnect at once after a restart.
const RETURN_SPREAD: Duration = Duration::from_secs(4);

/// `GET` and `HEAD /api/library-version-events`.
pub(in crate::http) async fn events(State(node): State<Node>, request: Request) -> Response {
    let is_event_source = request.method() == Method::GET
        && accept_header::ranges(request.headers()).any(|range| range.is("text/event-stream"));
    match open(&node, request).await {
        Ok(stream) => stream,
        Err(error) if is_event_source && error.is_temporary() => later(&node, &error),
        Err(error) => refuse(error),
    }
}

/// Returns a stream that contains only the reconnection delay and the error code.
fn later(node: &Node, error: &HttpError) -> Response {
    let retry = (RETURN + RETURN_SPREAD.mul_f64(node.streams.fraction())).as_millis();
    let body = format!("retry: {retry}\n: {}\n\n", error.code());
    let mut response = (encoder::headers(Events::CONTENT_TYPE), body).into_response();
    if let Some(fault) = error.fault() {
        response.extensions_mut().insert(fault);
    }
    response
}

async fn open(node: &Node, request: Request) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate_stream(&parts, Ask::Stream).await?;
    if parts.method == Method::HEAD {
        return Ok(encoder::head(Events::CONTENT_TYPE));
    }
    let device = RequestDevice::of_stream(&parts)?;
    let permit = node.streams.open(&viewer, Transport::Events)?;
    let last_seen = last_seen(&parts.headers);
    let (user, issued_at) = (&viewer.user, viewer.issued_at);
    let transport = Transport::Events.into();
    let heads = node.feed.follow(user, issued_at, last_seen, transport);
    let heads = heads.await?;
    let permit = node.attended(permit, &viewer, &device, Transport::Events);
    let erased = match last_seen {
        Some(seen) if seen.epoch != heads.last().epoch => {
            node.library.erased_epoch(&viewer.user).await?
        }
        _ => None,
    };
    let framing = Events {
        last_seen,
        erased,
        retry: RETURN + RETURN_SPREAD.mul_f64(permit.fraction()),
        newest: None,
    };
    Ok(encoder::response(
        permit,
        heads,
        framing,
        node.settings.heartbeat,
    ))
}

/// Returns the error response. A 401 has the plain-text body of the older app instead of JSON.
fn refuse(error: HttpError) -> Response {
    let mut response = error.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        *response.body_mut() = "Unauthorized".into();
    }
    response
}

/// Returns the last head that the client saw, from `Last-Event-ID`. An invalid value counts as absent.
fn last_seen(headers: &HeaderMap) -> Option<Head> {
    let value = headers.get("last-event-id")?;
    value.to_str().ok()?.parse().ok()
}

struct Events {
    last_seen: Option<Head>,
    /// The epoch that the last erasure of the account began.
    erased: Option<Epoch>,
    /// Delay before the client reconnects.
    retry: Duration,
    /// The last head sent; `None` before `connected`.
    newest: Option<Head>,
}

impl Events {
    fn connected(&self, head: Head) -> String {
        let mut json = message("connected", head, None);
        if let Some(last_seen) = self.last_seen {
            json.pop();
            let resume = resume(last_seen, head, self.erased);
            counter!("library_sync_stream_resumes_total", "result" => resume).increment(1);
            let _ = write!(json, r#","resume":"{resume}"}}"#);
        }
        format!(
            "retry: {}\nid: {head}\ndata: {json}\n\n",
            self.retry.as_millis()
        )
    }
}

impl Framing<FeedEvent> for Events {
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream");

    fn item(&mut self, FeedEvent { head, traceparent }: FeedEvent) -> Bytes {
        let event = match self.newest.replace(head) {
            None => self.connected(head),
            Some(_) => format!(
                "id: {head}\ndata: {}\n\n",
                message("library_version_update", head, traceparent)
            ),
        };
        event.into()
    }

    fn heartbeat(&mut self) -> Bytes {
        match self.newest {
            Some(head) => format!("data: {}\n\n", message("heartbeat", head, None)).into(),
            None => Bytes::from_static(b":\n\n"),
        }
    }

    fn complete(&mut self) -> Bytes {
        Bytes::new()
    }

    fn end(&mut self, reason: EndReason) -> Bytes {
        match reason {
            EndReason::Expired | EndReason::SignedOut => format!(
                "event: auth_expired\ndata: {{\"type\":\"auth_expired\",\"timestamp\":{}}}\n\n",
                unix_millis()
            )
            .into(),
            // An `EventSource` reconnects without an event.
            EndReason::TooOld | EndReason::Drained | EndReason::Ended => Bytes::new(),
        }
    }
}

fn message(kind: &str, head: Head, traceparent: Option<TraceParent>) -> String {
    let (timestamp, version) = (unix_millis(), head.version);
    match traceparent {
        None => format!(r#"{{"type":"{kind}","timestamp":{timestamp},"version":{version}}}"#),
        Some(traceparent) => format!(
            r#"{{"type":"{kind}","timestamp":{timestamp},"version":{version},"traceparent":"{traceparent}"}}"#
        ),
    }
}

fn resume(last_seen: Head, now: Head, erased: Option<Epoch>) -> &'static str {
    if Some(last_seen.epoch) < erased {
        return "erased";
    }
    if last_seen.epoch != now.epoch {
        return "other_epoch";
    }
    match last_seen.version.cmp(&now.version) {
        Ordering::Less => "behind",
        Ordering::Equal => "up_to_date",
        Ordering::Greater => "ahead",
    }
}

fn unix_millis() -> i64 {
    unix_time::millis(OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::testing::head;

    fn events(last_seen: Option<Head>) -> Events {
        Events {
            last_seen,
            erased: None,
            retry: Duration::from_millis(4217),
            newest: None,
        }
    }

    fn feed_event(version: i32) -> FeedEvent {
        FeedEvent {
            head: head(7, version),
            traceparent: None,
        }
    }

    #[test]
    fn a_traced_update_names_its_trace() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0b1902c7-01";
        let traced = FeedEvent {
            traceparent: TraceParent::parse(text),
            ..feed_event(42)
        };
        let mut events = events(None);
        events.item(feed_event(41));
        let event = timeless(&events.item(traced));
        let end = format!("\"version\":42,\"traceparent\":\"{text}\"}}\n\n");
        assert!(event.ends_with(&end), "{event}");
    }

    /// Replaces each timestamp, 13 digits of milliseconds, by `T`.
    fn timeless(bytes: &Bytes) -> String {
        let text = str::from_utf8(bytes).unwrap();
        let mut parts = text.split(r#""timestamp":"#);
        let mut out = parts.next().unwrap().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            assert_eq!(part.len() - rest.len(), 13, "milliseconds in {text}");
            out.push_str(r#""timestamp":T"#);
            out.push_str(rest);
        }
        out
    }

    #[test]
    fn the_events_have_the_exact_format_of_the_older_app() {
        let mut events = events(None);
        assert_eq!(
            timeless(&events.item(feed_event(41))),
            "retry: 4217\nid: 7.41\ndata: {\"type\":\"connected\",\"timestamp\":T,\"version\":41}\n\n"
        );
        assert_eq!(
            timeless(&events.item(feed_event(42))),
            "id: 7.42\ndata: {\"type\":\"library_version_update\",\"timestamp\":T,\"version\":42}\n\n"
        );
        assert_eq!(
            timeless(&events.heartbeat()),
            "data: {\"type\":\"heartbeat\",\"timestamp\":T,\"version\":42}\n\n"
        );
        assert_eq!(
            timeless(&events.end(EndReason::Expired)),
            "event: auth_expired\ndata: {\"type\":\"auth_expired\",\"timestamp\":T}\n\n"
        );
        assert!(events.end(EndReason::Drained).is_empty());
    }

    #[test]
    fn connected_compares_the_head_of_a_reconnecting_client() {
        for (last_seen, resume) in [
            (head(7, 41), "up_to_date"),
            (head(7, 40), "behind"),
            (head(7, 42), "ahead"),
            (head(6, 900), "other_epoch"),
            (head(8, 1), "other_epoch"),
        ] {
            let connected = timeless(&events(Some(last_seen)).item(feed_event(41)));
            let end = format!("\"version\":41,\"resume\":\"{resume}\"}}\n\n");
            assert!(connected.ends_with(&end), "{connected}");
        }
    }

    #[test]
    fn a_head_before_an_erasure_is_erased_and_no_other() {
        for (last_seen, resume) in [
            (head(6, 900), "erased"),
            (head(7, 41), "other_epoch"),
            (head(8, 41), "up_to_date"),
        ] {
            let mut events = events(Some(last_seen));
            events.erased = Some(Epoch::new(7));
            let event = FeedEvent {
                head: head(8, 41),
                traceparent: None,
            };
            let connected = timeless(&events.item(event));
            assert!(
                connected.ends_with(&format!("\"resume\":\"{resume}\"}}\n\n")),
                "{connected}"
            );
        }
    }

    #[test]
    fn an_invalid_last_event_id_counts_as_absent() {
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", HeaderValue::from_bytes(value).unwrap());
            last_seen(&headers)
        };
        assert_eq!(of(b"7.41"), Some(head(7, 41)));
        for garbage in [&b""[..], b"7", b"7.41 ", b"7.41\tid: 9.9", b"\xff", b"-1.1"] {
            assert_eq!(of(garbage), None, "{garbage:?}");
        }
        assert_eq!(last_seen(&HeaderMap::new()), None);
    }
}
