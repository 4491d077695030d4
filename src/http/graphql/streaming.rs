//! GraphQL over HTTP responses that stay open, of two kinds.
//!
//! *Server-sent events*, in the distinct connections mode of graphql-sse's PROTOCOL.md, request errors included:
//! ```text
//! event: next
//! data: {"data":{"libraryVersion":41},"extensions":{"libraryVersion":41}}
//!
//! :
//!
//! event: complete
//! data:
//! ```
//! *Multipart*, as Apollo's clients ask for it (`multipart/mixed;subscriptionSpec=1.0`): each part is a result in
//! `payload`, a heartbeat `{}`, or, last, why the server ends the stream. A part is sent with the boundary after it,
//! because clients take a part only when they see that.
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
//! **Invariant:** a stream that the server ends is never told to be complete, so clients open it again.

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
        error::HttpError,
        state::Node,
        streams::{
            encoder::{self, Framing},
            registry::{EndReason, Transport},
        },
    },
};

/// How the results of an operation are streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Kind {
    /// Server-sent events.
    Sse,
    /// Multipart.
    Multipart,
}

/// The kind of stream that the `Accept` headers ask for, if any; of two, the one they prefer.
///
/// Only what is named counts, no wildcard; and of `multipart/mixed` only Apollo's, since another `multipart/mixed` is
/// another protocol.
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

/// Answers HEAD for such a stream.
pub(in crate::http) fn head(kind: Kind) -> Response {
    encoder::head(match kind {
        Kind::Sse => Sse::CONTENT_TYPE,
        Kind::Multipart => Multipart::CONTENT_TYPE,
    })
}

/// Streams the results of an operation.
///
/// # Errors
/// When there is no permit for one more stream.
pub(in crate::http) fn respond(
    node: &Node,
    viewer: &Viewer,
    outcomes: BoxStream<'static, Outcome>,
    kind: Kind,
) -> Result<Response, HttpError> {
    let transport = match kind {
        Kind::Sse => Transport::Sse,
        Kind::Multipart => Transport::Multipart,
    };
    let permit = node.streams.open(viewer, transport)?;
    let heartbeat = node.settings.heartbeat;
    Ok(match kind {
        Kind::Sse => encoder::response(permit, outcomes, Sse, heartbeat),
        Kind::Multipart => encoder::response(permit, outcomes, Multipart, heartbeat),
    })
}

#[expect(clippy::expect_used, reason = "outcomes hold only what JSON can say")]
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
            EndReason::Expired => self.item(Outcome::error(reason.code(), reason.message())),
            // Clients of graphql-sse take a stream that ends without `complete` for a broken connection.
            EndReason::TooOld | EndReason::Drained => Bytes::new(),
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
    fn the_clients_that_we_know_get_their_kind() {
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
    fn the_preferred_of_two_kinds_is_chosen() {
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
    fn nothing_else_is_taken_for_a_wish_to_stream() {
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
    fn events_have_the_form_of_graphql_sse() {
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
    fn parts_have_the_form_that_apollos_clients_read() {
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
    fn a_multipart_that_is_complete_ends_with_the_closing_boundary() {
        let last = [Multipart.item(outcome()), Multipart.complete()].concat();
        assert!(last.ends_with(b"\r\n--graphql--\r\n"));
    }
}
