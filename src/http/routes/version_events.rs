//! `GET /api/library-version-events`: one user's heads, as the older web app's page reads them.
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
//! The page acts on every unnamed message whose `version` is a number, so its messages keep these keys in this order.
//! `auth_expired` is a named event, which a page that does not listen for it never sees.
//!
//! A client that comes back says in `Last-Event-ID` which head it saw last. `connected` then tells, in one more key
//! `resume`, how that compares: `up_to_date`, `behind`, `ahead`, or `other_epoch` (what it keeps is of another
//! numbering, and worth nothing).
//!
//! Browsers give an `EventSource` up for good after any status but 200. So one that comes while the server is stopping,
//! or the database or the key server does not answer, gets a stream that ends after telling when to come back:
//! ```text
//! retry: 3301
//! : UNAVAILABLE
//! ```
//! Whoever does not name `text/event-stream` in `Accept`, as every `EventSource` does, is answered 503 with
//! `Retry-After`. Refusals that do not pass by themselves have their status for all: 401, 403, and the limits.
//!
//! **Invariant:** nothing a client sends is written back, so no header can add a line to the stream.

use std::{cmp::Ordering, fmt::Write as _, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use time::OffsetDateTime;

use crate::{
    auth::Ask,
    http::{
        error::HttpError,
        graphql::accept_header,
        state::Node,
        streams::{
            encoder::{self, Framing},
            registry::{EndReason, Transport},
        },
    },
    version::Head,
};

/// When those come back whose stream ends, at the earliest, and over how long they are spread: a server that starts is
/// not met by all at once.
const RETURN: Duration = Duration::from_secs(1);
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

/// A stream that only tells when to come back.
fn later(node: &Node, error: &HttpError) -> Response {
    error.log();
    let retry = (RETURN + RETURN_SPREAD.mul_f64(node.streams.fraction())).as_millis();
    let body = format!("retry: {retry}\n: {}\n\n", error.code());
    (encoder::headers(Events::CONTENT_TYPE), body).into_response()
}

async fn open(node: &Node, request: Request) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate_stream(&parts, Ask::Stream).await?;
    if parts.method == Method::HEAD {
        return Ok(encoder::head(Events::CONTENT_TYPE));
    }
    let permit = node.streams.open(&viewer, Transport::Events)?;
    let last_seen = last_seen(&parts.headers);
    let heads = node.feed.follow(&viewer.user, last_seen).await?;
    let framing = Events {
        last_seen,
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

/// The older app answers with this body, where other routes give errors as JSON.
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

/// The head that the client saw last. A value that is none is as good as absent.
fn last_seen(headers: &HeaderMap) -> Option<Head> {
    let value = headers.get("last-event-id")?;
    value.to_str().ok()?.parse().ok()
}

struct Events {
    last_seen: Option<Head>,
    /// How long the client is to wait before it comes back.
    retry: Duration,
    /// What was sent last; nothing before `connected`.
    newest: Option<Head>,
}

impl Events {
    fn connected(&self, head: Head) -> String {
        let mut json = message("connected", head);
        if let Some(last_seen) = self.last_seen {
            json.pop();
            let resume = resume(last_seen, head);
            let _ = write!(json, r#","resume":"{resume}"}}"#);
        }
        format!(
            "retry: {}\nid: {head}\ndata: {json}\n\n",
            self.retry.as_millis()
        )
    }
}

impl Framing<Head> for Events {
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream");

    fn item(&mut self, head: Head) -> Bytes {
        let event = match self.newest.replace(head) {
            None => self.connected(head),
            Some(_) => format!(
                "id: {head}\ndata: {}\n\n",
                message("library_version_update", head)
            ),
        };
        event.into()
    }

    fn heartbeat(&mut self) -> Bytes {
        match self.newest {
            Some(head) => format!("data: {}\n\n", message("heartbeat", head)).into(),
            None => Bytes::from_static(b":\n\n"),
        }
    }

    fn complete(&mut self) -> Bytes {
        Bytes::new()
    }

    fn end(&mut self, reason: EndReason) -> Bytes {
        match reason {
            EndReason::Expired => format!(
                "event: auth_expired\ndata: {{\"type\":\"auth_expired\",\"timestamp\":{}}}\n\n",
                unix_millis()
            )
            .into(),
            // The client comes back by itself.
            EndReason::TooOld | EndReason::Drained => Bytes::new(),
        }
    }
}

fn message(kind: &str, head: Head) -> String {
    format!(
        r#"{{"type":"{kind}","timestamp":{},"version":{}}}"#,
        unix_millis(),
        head.version
    )
}

fn resume(last_seen: Head, now: Head) -> &'static str {
    if last_seen.epoch != now.epoch {
        return "other_epoch";
    }
    match last_seen.version.cmp(&now.version) {
        Ordering::Less => "behind",
        Ordering::Equal => "up_to_date",
        Ordering::Greater => "ahead",
    }
}

fn unix_millis() -> i128 {
    OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::{Epoch, Version};

    fn head(epoch: i64, version: i32) -> Head {
        Head {
            epoch: Epoch::new(epoch),
            version: Version::new(version),
        }
    }

    fn events(last_seen: Option<Head>) -> Events {
        Events {
            last_seen,
            retry: Duration::from_millis(4217),
            newest: None,
        }
    }

    /// The text with every run of 13 digits, a time in milliseconds, as `T`.
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
    fn the_events_are_byte_for_byte_what_the_older_app_reads() {
        let mut events = events(None);
        assert_eq!(
            timeless(&events.item(head(7, 41))),
            "retry: 4217\nid: 7.41\ndata: {\"type\":\"connected\",\"timestamp\":T,\"version\":41}\n\n"
        );
        assert_eq!(
            timeless(&events.item(head(7, 42))),
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
    fn connected_tells_a_client_that_comes_back_how_it_stands() {
        for (last_seen, resume) in [
            (head(7, 41), "up_to_date"),
            (head(7, 40), "behind"),
            (head(7, 42), "ahead"),
            (head(6, 900), "other_epoch"),
            (head(8, 1), "other_epoch"),
        ] {
            let connected = timeless(&events(Some(last_seen)).item(head(7, 41)));
            let end = format!("\"version\":41,\"resume\":\"{resume}\"}}\n\n");
            assert!(connected.ends_with(&end), "{connected}");
        }
    }

    #[test]
    fn a_last_event_id_that_is_no_head_is_as_good_as_absent() {
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
