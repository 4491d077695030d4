//! `GET /api/trpc/view.getVersion`: the user's version, for the links of `@trpc/client` 11.
//!
//! | link | request | response |
//! |---|---|---|
//! | `httpLink` | | `{"result":{"data":…}}` |
//! | `httpBatchLink` | `?batch=1` | a list with that one result |
//! | `httpBatchStreamLink` | `trpc-accept: application/jsonl` | one line with the result of each call, by index |
//!
//! A client has the transformer superjson or none. Data and errors outside of a stream hold both forms, so that the
//! older app's service worker finds `result.data.version` and its page `result.data.json.version`. A line of a stream
//! has one form, which follows from the request's `input`.
//!
//! **Invariant:** every error of this route has tRPC's form, because its clients report any other body as a broken
//! connection.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    auth::Ask,
    http::{
        error::{HttpError, Refusal},
        state::Node,
    },
    version::Version,
};

/// The media type with which `httpBatchStreamLink` asks for a stream.
const JSON_LINES: &str = "application/jsonl";
/// The headers that can carry it. The client's option `streamHeader` selects one.
const ACCEPT: [&str; 2] = ["trpc-accept", "accept"];

const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::VARY,
        HeaderValue::from_static("trpc-accept, accept"),
    ),
];

/// `GET /api/trpc/view.getVersion`.
pub(in crate::http) async fn version(
    State(node): State<Node>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate(&parts, Ask::Read).await?;
    let head = node.viewer_head(&viewer, &parts.headers, None).await?;
    let format = Format::of(&parts);
    Ok((HEADERS, format.version(head.version)).into_response())
}

/// Replaces the body of an error response by tRPC's. A stream has the status 200, also for an error.
pub(in crate::http) async fn format_errors(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let format = Format::of(&parts);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let Some(refusal) = response.extensions_mut().remove::<Refusal>() else {
        return response;
    };
    let body = format.error(response.status(), &refusal);
    *response.body_mut() = Body::from(body);
    if format.is_stream {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    response.headers_mut().extend(HEADERS);
    response
}

/// The form of the response that a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    is_batch: bool,
    is_stream: bool,
    is_superjson: bool,
}

impl Format {
    fn of(request: &Parts) -> Self {
        let accepts = |name| {
            let value = request.headers.get(name);
            value.is_some_and(|value| value == JSON_LINES)
        };
        Self {
            is_stream: ACCEPT.into_iter().any(accepts),
            ..Self::of_query(request.uri.query().unwrap_or_default())
        }
    }

    fn of_query(query: &str) -> Self {
        let value = |wanted: &str| {
            let mut parameters = url::form_urlencoded::parse(query.as_bytes());
            parameters.find_map(|(name, value)| (name == wanted).then_some(value))
        };
        let input = value("input").and_then(|input| serde_json::from_str::<Value>(&input).ok());
        Self {
            is_batch: value("batch").is_some_and(|batch| batch == "1"),
            is_stream: false,
            is_superjson: input.is_some_and(|input| input["0"].get("json").is_some()),
        }
    }

    fn version(self, version: Version) -> String {
        let data = format!(r#"{{"version":{version}}}"#);
        if self.is_stream {
            return self.line(&format!(r#"{{"result":{{"data":{data}}}}}"#));
        }
        self.call(format!(
            r#"{{"result":{{"data":{{"version":{version},"json":{data}}}}}}}"#
        ))
    }

    fn error(self, status: StatusCode, refusal: &Refusal) -> String {
        let (name, code) = trpc_code(status);
        // The older app's page compares the message of a 401.
        let message = match status {
            StatusCode::UNAUTHORIZED => name,
            _ => &refusal.message,
        };
        let mut error = json!({
            "message": message,
            "code": code,
            "data": {
                "code": name,
                "httpStatus": status.as_u16(),
                "path": "view.getVersion",
                "reason": refusal.code,
            },
        });
        if self.is_stream {
            return self.line(&json!({"error": error}).to_string());
        }
        error["json"] = error.clone();
        self.call(json!({"error": error}).to_string())
    }

    /// Returns the body of a response with the result of one call.
    fn call(self, result: String) -> String {
        if self.is_batch {
            format!("[{result}]")
        } else {
            result
        }
    }

    /// Returns the body of a stream with the result of one call, which is at index 0.
    fn line(self, result: &str) -> String {
        let head = format!(r#"{{"0":[[{result}]]}}"#);
        if self.is_superjson {
            format!("{{\"json\":{head}}}\n")
        } else {
            format!("{head}\n")
        }
    }
}

/// Returns tRPC's name and JSON-RPC number of a status.
fn trpc_code(status: StatusCode) -> (&'static str, i32) {
    match status {
        StatusCode::BAD_REQUEST => ("BAD_REQUEST", -32600),
        StatusCode::UNAUTHORIZED => ("UNAUTHORIZED", -32001),
        StatusCode::FORBIDDEN => ("FORBIDDEN", -32003),
        StatusCode::METHOD_NOT_ALLOWED => ("METHOD_NOT_SUPPORTED", -32005),
        StatusCode::TOO_MANY_REQUESTS => ("TOO_MANY_REQUESTS", -32029),
        StatusCode::SERVICE_UNAVAILABLE => ("SERVICE_UNAVAILABLE", -32603),
        _ => ("INTERNAL_SERVER_ERROR", -32603),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPERJSON: &str = "batch=1&input=%7B%220%22%3A%7B%22json%22%3Anull%2C%22meta%22%3A%7B%22values%22%3A%5B%22undefined%22%5D%7D%7D%7D";

    fn stream(query: &str) -> Format {
        Format {
            is_stream: true,
            ..Format::of_query(query)
        }
    }

    fn unauthorized() -> Refusal {
        Refusal {
            code: "UNAUTHENTICATED",
            message: "sign in".to_owned(),
        }
    }

    #[test]
    fn the_result_has_the_version_for_the_worker_and_for_the_page() {
        assert_eq!(
            Format::of_query("").version(Version::new(7)),
            r#"{"result":{"data":{"version":7,"json":{"version":7}}}}"#
        );
    }

    #[test]
    fn a_batch_is_a_list_of_one() {
        assert!(!Format::of_query("batch=0").is_batch);
        assert!(!Format::of_query("").is_batch);
        assert_eq!(
            Format::of_query("batch=1&input=%7B%7D").version(Version::new(7)),
            r#"[{"result":{"data":{"version":7,"json":{"version":7}}}}]"#
        );
    }

    #[test]
    fn a_stream_is_one_line_in_the_transformer_of_its_input() {
        assert_eq!(
            stream(SUPERJSON).version(Version::new(20)),
            "{\"json\":{\"0\":[[{\"result\":{\"data\":{\"version\":20}}}]]}}\n"
        );
        for query in ["batch=1&input=%7B%7D", "batch=1", "input=null", "input=%7B"] {
            assert_eq!(
                stream(query).version(Version::new(20)),
                "{\"0\":[[{\"result\":{\"data\":{\"version\":20}}}]]}\n",
                "{query}"
            );
        }
    }

    #[test]
    fn an_error_has_the_form_of_the_older_app() {
        let shape = json!({
            "message": "UNAUTHORIZED",
            "code": -32001,
            "data": {
                "code": "UNAUTHORIZED",
                "httpStatus": 401,
                "path": "view.getVersion",
                "reason": "UNAUTHENTICATED",
            },
        });
        let error = |format: Format| {
            let body = format.error(StatusCode::UNAUTHORIZED, &unauthorized());
            serde_json::from_str::<Value>(&body).unwrap()
        };
        let streamed = error(stream(SUPERJSON));
        assert_eq!(streamed, json!({"json": {"0": [[{"error": shape}]]}}));
        let both = error(Format::of_query(""));
        assert_eq!(both["error"]["json"], shape);
        assert_eq!(both["error"]["code"], shape["code"]);
        assert_eq!(error(Format::of_query("batch=1")), json!([both]));
    }
}
