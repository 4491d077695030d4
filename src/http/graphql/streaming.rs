//! Streams of GraphQL results over HTTP, in two formats.
//!
//! *Server-sent events*, in the distinct connections mode of graphql-sse's PROTOCOL.md, also for request errors:
//! ```text
//! event: next
//! data: {"data":{"libraryVersion":41},"extensions":{"libraryVersion":41}}
//!
//! :
//!
//! event: complete
//! data:
//! ```
//! *Multipart*, in Apollo's protocol (`multipart/mixed;subscriptionSpec=1.0`): a part is a result in `payload`, a
//! heartbeat `{}`, or the reason for which the server ends the stream. Each part is sent with the boundary after it,
//! because clients process a part only when they see that boundary.
//! ```text
//! --graphql
//! content-type: application/json
//!
//! {"payload":{"data":{"libraryVersion":41},"extensions":{"libraryVersion":41}}}
//! --graphql
//! content-type: application/json
//!
//! {"payload":null,"errors":[{"message":"the token has expired","extensions":{"code":"TOKEN_EXPIRED"}}]}
//! --graphql--
//! ```
//!
//! **Invariant:** a stream that the server ends is not marked complete, so clients reconnect.

use async_graphql::ServerError;
use axum::{
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Serialize;

use super::{accept_header, operation::Outcome};
use crate::{
    auth::Viewer,
    http::{
        device::RequestDevice,
        error::HttpError,
        state::Node,
        streams::{
            encoder::{self, Framing},
            end_reason::EndReason,
            registry::Transport,
        },
    },
};

/// The format of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kind {
    /// Server-sent events.
    Sse,
    /// Multipart.
    Multipart,
}

impl Kind {
    /// Returns its transport.
    pub fn transport(self) -> Transport {
        match self {
            Self::Sse => Transport::Sse,
            Self::Multipart => Transport::Multipart,
        }
    }
}

/// Returns the format of a stream that `Accept` asks for, if any; of two, the preferred.
///
/// Wildcards do not count. `multipart/mixed` counts only with Apollo's parameter, because other uses of it, such as
/// `@defer`, are other protocols.
pub(in crate::http) fn wanted(headers: &HeaderMap) -> Option<Kind> {
    let mut best: Option<(Kind, u16)> = None;
    for range in accept_header::ranges(headers) {
        let kind = if range.is("text/event-stream") {
            Kind::Sse
        } else if range.is("multipart/mixed") && range.parameter("subscriptionSpec") == Some("1.0")
        {
            Kind::Multipart
        } else {
            continue;
        };
        if range.weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((kind, range.weight));
        }
    }
    best.map(|(kind, _)| kind)
}

/// Answers HEAD for a stream.
pub(in crate::http) fn head(kind: Kind) -> Response {
    encoder::head(match kind {
        Kind::Sse => Sse::CONTENT_TYPE,
        Kind::Multipart => Multipart::CONTENT_TYPE,
    })
}

/// Streams the results of an operation.
///
/// # Errors
/// When a limit of streams is reached.
pub(in crate::http) fn respond(
    node: &Node,
    viewer: &Viewer,
    device: &RequestDevice,
    outcomes: BoxStream<'static, Outcome>,
    kind: Kind,
) -> Result<Response, HttpError> {
    let transport = kind.transport();
    let permit = node.streams.open(viewer, transport)?;
    let permit = node.attended(permit, viewer, device, transport);
    let heartbeat = node.settings.heartbeat;
    Ok(match kind {
        Kind::Sse => encoder::response(permit, outcomes, Sse, heartbeat),
        Kind::Multipart => encoder::response(permit, outcomes, Multipart, heartbeat),
    })
}

#[expect(clippy::expect_used, reason = "every outcome is serializable as JSON")]
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("an outcome is JSON")
}

struct Sse;

impl Framing<Outcome> for Sse {
    const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream");

    fn item(&mut self, outcome: Outcome) -> Bytes {
        format!("event: next\ndata: {}\n\n", json(&outcome)).into()
    }

    fn heartbeat(&mut self) -> Bytes {
        Bytes::from_static(b":\n\n")
    }

    fn complete(&mut self) -> Bytes {
        Bytes::from_static(b"event: complete\ndata:\n\n")
    }

    fn end(&mut self, reason: EndReason) -> Bytes {
        match reason {
            EndReason::Expired | EndReason::SignedOut => {
                self.item(Outcome::error(reason.code(), reason.message()))
            }
            // Clients of graphql-sse reconnect after a stream that ends without `complete`.
            EndReason::TooOld | EndReason::Drained | EndReason::Ended => Bytes::new(),
        }
    }
}

struct Multipart;

#[derive(Serialize)]
struct Part<'a> {
    payload: Option<&'a Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [ServerError]>,
}

fn part(json: &str, boundary: &str) -> Bytes {
    format!("\r\ncontent-type: application/json\r\n\r\n{json}\r\n--graphql{boundary}").into()
}

impl Framing<Outcome> for Multipart {
    const CONTENT_TYPE: HeaderValue =
        HeaderValue::from_static("multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0");

    fn preamble(&mut self) -> Bytes {
        Bytes::from_static(b"\r\n--graphql")
    }

    fn item(&mut self, outcome: Outcome) -> Bytes {
        let payload = Part {
            payload: Some(&outcome),
            errors: None,
        };
        part(&json(&payload), "")
    }

    fn heartbeat(&mut self) -> Bytes {
        part("{}", "")
    }

    fn complete(&mut self) -> Bytes {
        Bytes::from_static(b"--\r\n")
    }

    fn end(&mut self, reason: EndReason) -> Bytes {
        let outcome = Outcome::error(reason.code(), reason.message());
        let errors = Part {
            payload: None,
            errors: Some(outcome.errors()),
        };
        part(&json(&errors), "--\r\n")
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    fn asked(accept: &[&str]) -> Option<Kind> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        wanted(&headers)
    }

    #[test]
    fn known_clients_get_their_format() {
        for (client, accept, kind) in [
            ("graphql-sse", "text/event-stream", Kind::Sse),
            (
                "Apollo Client 4",
                "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9",
                Kind::Multipart,
            ),
            (
                "Apollo Client 3",
                "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json",
                Kind::Multipart,
            ),
            (
                "Apollo's documentation",
                "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=\"1.0\", application/json",
                Kind::Multipart,
            ),
            (
                "urql",
                "application/graphql-response+json, application/json, text/event-stream, multipart/mixed",
                Kind::Sse,
            ),
        ] {
            assert_eq!(asked(&[accept]), Some(kind), "{client}");
        }
    }

    #[test]
    fn the_preferred_of_two_formats_is_chosen() {
        let multipart = "multipart/mixed;subscriptionSpec=1.0";
        assert_eq!(asked(&["text/event-stream", multipart]), Some(Kind::Sse));
        assert_eq!(
            asked(&[multipart, "text/event-stream"]),
            Some(Kind::Multipart)
        );
        assert_eq!(
            asked(&["text/event-stream;q=0.5", multipart]),
            Some(Kind::Multipart)
        );
        assert_eq!(
            asked(&["text/event-stream;q=0", multipart]),
            Some(Kind::Multipart)
        );
        assert_eq!(asked(&["Text/Event-Stream ; Q=0.1"]), Some(Kind::Sse));
    }

    #[test]
    fn other_media_types_do_not_ask_for_a_stream() {
        for accept in [
            "",
            "*/*",
            "text/*",
            "application/json",
            "multipart/mixed",
            "multipart/mixed;deferSpec=20220824,application/json",
            "multipart/mixed;subscriptionSpec=2.0",
            "application/json;x=\"a,text/event-stream\"",
            "application/json;x=\"a\\\",text/event-stream\"",
            "text/event-stream;q=0",
            "text/event-stream;q=x",
            "xtext/event-stream",
        ] {
            assert_eq!(asked(&[accept]), None, "{accept}");
        }
        assert_eq!(asked(&[]), None);
    }

    fn outcome() -> Outcome {
        Outcome::error("X", "a\nb")
    }

    const ERROR: &str = r#"{"errors":[{"message":"a\nb","extensions":{"code":"X"}}]}"#;

    #[test]
    fn events_have_the_format_of_graphql_sse() {
        assert_eq!(
            Sse.item(outcome()),
            format!("event: next\ndata: {ERROR}\n\n")
        );
        assert_eq!(Sse.heartbeat(), ":\n\n");
        assert_eq!(Sse.complete(), "event: complete\ndata:\n\n");
        assert!(Sse.end(EndReason::Drained).is_empty());
        let expired = Sse.end(EndReason::Expired);
        assert!(str::from_utf8(&expired).unwrap().contains("TOKEN_EXPIRED"));
    }

    #[test]
    fn parts_have_the_format_of_apollos_clients() {
        let mut body = Vec::new();
        for bytes in [
            Multipart.preamble(),
            Multipart.item(outcome()),
            Multipart.heartbeat(),
            Multipart.end(EndReason::Expired),
        ] {
            body.extend_from_slice(&bytes);
        }
        let body = String::from_utf8(body).unwrap();
        let parts: Vec<_> = body.split("\r\n--graphql").collect();
        let json = |part: &str| {
            let (headers, json) = part.split_once("\r\n\r\n").unwrap();
            assert_eq!(headers, "\r\ncontent-type: application/json");
            json.to_owned()
        };
        assert_eq!(parts.len(), 5);
        assert_eq!(parts[0], "");
        assert_eq!(json(parts[1]), format!(r#"{{"payload":{ERROR}}}"#));
        assert_eq!(json(parts[2]), "{}");
        assert_eq!(
            json(parts[3]),
            r#"{"payload":null,"errors":[{"message":"the token has expired","extensions":{"code":"TOKEN_EXPIRED"}}]}"#
        );
        assert_eq!(parts[4], "--\r\n");
    }

    #[test]
    fn a_complete_multipart_ends_with_the_closing_boundary() {
        let last = [Multipart.item(outcome()), Multipart.complete()].concat();
        assert!(last.ends_with(b"\r\n--graphql--\r\n"));
    }
}
