//! Parses the GraphQL request from the URL or the body of an HTTP request.
//!
//! **Invariant:** at most [`Settings::max_body`] bytes of a body are held.
//! **Invariant:** a body that is not declared as JSON, such as a form, is not read.

use async_graphql::Request;
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, header, request::Parts},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value as Json};
use tokio::time::timeout;
use url::form_urlencoded;

use crate::{
    graphql,
    http::{error::HttpError, state::Settings},
};

/// The operations of one HTTP request.
#[derive(Debug)]
pub(in crate::http) enum Asked {
    /// One operation.
    One(Box<Request>),
    /// A batch, which runs in sequence.
    Batch(Vec<Request>),
}

/// Parses a request.
///
/// # Errors
/// When it is malformed or exceeds a limit.
pub(in crate::http) async fn asked(
    parts: &Parts,
    body: Body,
    settings: &Settings,
) -> Result<Asked, HttpError> {
    if parts.method == Method::POST {
        let json = read_json(&parts.headers, body, settings).await?;
        return operations(json, settings.max_batch);
    }
    let query = parts.uri.query().unwrap_or_default();
    parse_query(query).map(|request| Asked::One(request.into()))
}

/// Refuses a body that is not JSON in UTF-8. A browser sends JSON for a foreign page only after a CORS preflight.
fn check_media_type(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next().map(|value| value.to_str()), types.next()) {
        (Some(Ok(value)), None) => is_json(value),
        _ => false,
    };
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if is_json && codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        Ok(())
    } else {
        Err(HttpError::UnsupportedMediaType)
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_other_charset = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        let is_utf8 = value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8");
        name.trim().eq_ignore_ascii_case("charset") && !is_utf8
    };
    essence.eq_ignore_ascii_case("application/json") && !parts.any(is_other_charset)
}

/// Reads a body of JSON.
///
/// # Errors
/// When it is not declared as JSON or is not JSON, or exceeds a limit.
pub(in crate::http) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    settings: &Settings,
) -> Result<Json, HttpError> {
    check_media_type(headers)?;
    parse_json(&read_body(headers, body, settings).await?)
}

async fn read_body(
    headers: &HeaderMap,
    body: Body,
    settings: &Settings,
) -> Result<Bytes, HttpError> {
    let too_large = || HttpError::TooLarge(settings.max_body);
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > settings.max_body) {
        return Err(too_large());
    }
    let whole = Limited::new(body, settings.max_body).collect();
    match timeout(settings.body_timeout, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(malformed("the request body ended early")),
        Err(_) => Err(HttpError::TooSlow),
    }
}

fn malformed(message: impl Into<String>) -> HttpError {
    HttpError::BadRequest(message.into())
}

fn parse_json(body: &[u8]) -> Result<Json, HttpError> {
    if body.is_empty() {
        return Err(malformed("the body is empty; send a JSON object"));
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    graphql::json::parse(text)
        .map_err(|error| malformed(format!("the body is not valid JSON: {error}")))
}

/// Returns the operations of a body.
fn operations(json: Json, max_batch: usize) -> Result<Asked, HttpError> {
    let Json::Array(items) = json else {
        let request = graphql::request(json)?;
        return Ok(Asked::One(request.into()));
    };
    if items.is_empty() {
        return Err(malformed(
            "the body is an empty list; send a JSON object with `query`",
        ));
    }
    if items.len() > max_batch {
        return Err(HttpError::Batch(max_batch));
    }
    let requests: Result<_, _> = items.into_iter().map(graphql::request).collect();
    Ok(Asked::Batch(requests?))
}

/// Parses the parameters of a GET request. An empty parameter counts as absent.
fn parse_query(query: &str) -> Result<Request, HttpError> {
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = match &*name {
            _ if value.is_empty() => continue,
            "query" | "operationName" | "documentId" => Json::String(value.into_owned()),
            "variables" | "extensions" => graphql::json::parse(&value)
                .map_err(|error| malformed(format!("`{name}` is not valid JSON: {error}")))?,
            _ => continue,
        };
        if parameters.contains_key(&*name) {
            return Err(malformed(format!("parameter `{name}` must not repeat")));
        }
        parameters.insert(name.into_owned(), value);
    }
    Ok(graphql::request(Json::Object(parameters))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{HeaderValue, Request as HttpRequest, StatusCode};
    use futures_util::{StreamExt as _, stream};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::http::graphql::testing::{CASES, any_damages, any_json, any_request};

    fn settings() -> Settings {
        Settings {
            heartbeat: Duration::from_secs(30),
            max_body: 200,
            max_init_message: 200,
            body_timeout: Duration::from_millis(20),
            max_batch: 2,
            playground: false,
            admin_token: None,
            static_dir: None,
            metrics_apart: false,
        }
    }

    async fn post_with(content_type: Option<&str>, body: Body) -> Result<Asked, HttpError> {
        let mut request = HttpRequest::post("/graphql").body(()).unwrap();
        if let Some(value) = content_type {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        asked(&request.into_parts().0, body, &settings()).await
    }

    fn post(body: impl AsRef<[u8]>) -> Result<Asked, HttpError> {
        operations(parse_json(body.as_ref())?, settings().max_batch)
    }

    fn get(query: &str) -> Result<Request, HttpError> {
        parse_query(query)
    }

    fn one(asked: Result<Asked, HttpError>) -> Request {
        match asked {
            Ok(Asked::One(request)) => *request,
            other => panic!("{other:?}"),
        }
    }

    fn status(asked: Result<Asked, HttpError>) -> StatusCode {
        asked.expect_err("it is refused").status()
    }

    #[test]
    fn the_parameters_of_a_body_are_parsed() {
        let body = json!({
            "query": "{ a }", "operationName": "A", "variables": {"x": [1, null]}, "extensions": {"y": {}}, "z": 1,
        });
        let request = one(post(body.to_string()));
        assert_eq!(request.query, "{ a }");
        assert_eq!(request.operation_name.as_deref(), Some("A"));
        assert_eq!(json!(request.variables), json!({"x": [1, null]}));
        assert_eq!(json!(request.extensions), json!({"y": {}}));
        let body =
            json!({"query": "", "operationName": null, "variables": null, "extensions": null});
        let request = one(post(body.to_string()));
        assert_eq!(request.operation_name, None);
    }

    #[test]
    fn the_parameters_of_a_url_are_parsed() {
        let request =
            get("query=%7B+a+%7D&operationName=A&variables=%7B%22x%22%3A1%7D&z=1").unwrap();
        assert_eq!(request.query, "{ a }");
        assert_eq!(request.operation_name.as_deref(), Some("A"));
        assert_eq!(json!(request.variables), json!({"x": 1}));
        let request = get("query=a&operationName=&variables=&extensions=null").unwrap();
        assert_eq!(request.operation_name, None);
        assert!(
            get("query=a&operationName=null")
                .unwrap()
                .operation_name
                .is_some()
        );
        let request = get("documentId=abc").unwrap();
        assert_eq!(request.extensions.0.len(), 1);
    }

    #[test]
    fn a_malformed_request_is_refused() {
        for body in [
            "",
            "nonsense",
            "{\"query\":",
            "null",
            "1",
            "\"{ a }\"",
            "{}",
            "{\"qeury\":\"a\"}",
            "{\"query\":null}",
            "{\"query\":1}",
            "{\"query\":[\"a\"]}",
            "{\"query\":\"a\",\"variables\":[]}",
            "{\"query\":\"a\",\"variables\":\"{}\"}",
            "{\"query\":\"a\",\"extensions\":0}",
            "{\"query\":\"a\",\"operationName\":false}",
            "{\"documentId\":1}",
            "{\"query\":\"a\"} {}",
            "\u{feff}{}",
            "{\"query\":\"a\",\"query\":\"b\"}",
            "{\"query\":\"a\",\"variables\":{\"x\":1,\"x\":2}}",
            "{\"query\":\"a\",\"variables\":{\"x\":1e999}}",
            "[]",
        ] {
            assert_eq!(status(post(body)), StatusCode::BAD_REQUEST, "{body}");
        }
        assert_eq!(
            status(post(&b"{\"query\":\"\xff\"}"[..])),
            StatusCode::BAD_REQUEST
        );
        assert_eq!(status(post("[".repeat(200))), StatusCode::BAD_REQUEST);
        for query in [
            "",
            "query=",
            "query=a&query=b",
            "query=a&variables={",
            "query=a&variables=[]",
            "query=a&extensions=1",
            "query=a&variables={}&variables={}",
        ] {
            assert!(
                matches!(get(query), Err(HttpError::BadRequest(_))),
                "{query}"
            );
        }
    }

    #[test]
    fn unusual_but_unambiguous_requests_are_accepted() {
        for body in [
            "\u{feff}{\"query\":\"{ a }\"}",
            r#"{"query":"{ a }","operationName":"","variables":"","extensions":"","documentId":""}"#,
            r#"{"query":"{ a }","operationName":null,"variables":null,"extensions":null}"#,
        ] {
            let request = one(post(body));
            assert_eq!(request.query, "{ a }", "{body}");
            assert_eq!(request.operation_name, None, "{body}");
            assert!(
                request.variables.is_empty() && request.extensions.0.is_empty(),
                "{body}"
            );
        }
        let half = one(post(
            r#"{"query":"{ a }","variables":{"n":"a note \ud83d"}}"#,
        ));
        assert_eq!(json!(half.variables), json!({"n": "a note \u{fffd}"}));
        let half = get(r#"query=a&variables={"n":"a note \ud83d"}"#).unwrap();
        assert_eq!(json!(half.variables), json!({"n": "a note \u{fffd}"}));
    }

    #[test]
    fn a_refusal_names_its_cause() {
        for (body, cause) in [
            (&b""[..], "is empty"),
            (b"[]", "empty list"),
            (b"\xff\xfe{\0}\0", "not UTF-8"),
            (b"{\"query\":\"\xed\xa0\xbd\"}", "not UTF-8"),
            (
                b"{\"query\":\"a\",\"variables\":{},\"variables\":{}}",
                "duplicate key \"variables\"",
            ),
            (
                b"{\"query\":\"a\",\"variables\":{\"n\":1e999}}",
                "number out of range",
            ),
            (
                b"{\"query\":\"a\",\"variables\":[]}",
                "`variables` must be an object",
            ),
        ] {
            let error = post(body).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
    }

    #[test]
    fn a_batch_has_one_operation_up_to_the_limit() {
        let batch = |size: usize| json!(vec![json!({"query": "a"}); size]).to_string();
        assert!(matches!(post(batch(1)), Ok(Asked::Batch(requests)) if requests.len() == 1));
        assert!(matches!(post(batch(2)), Ok(Asked::Batch(requests)) if requests.len() == 2));
        assert!(matches!(post(batch(0)), Err(HttpError::BadRequest(_))));
        assert!(matches!(post(batch(3)), Err(HttpError::Batch(2))));
        assert!(matches!(
            post("[{\"query\":\"a\"},1]"),
            Err(HttpError::BadRequest(_))
        ));
    }

    #[tokio::test]
    async fn only_json_in_utf_8_is_accepted() {
        let body = || Body::from("{\"query\":\"a\"}");
        for content_type in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;CHARSET=\"UTF-8\"",
            "application/json; profile=x",
            "application/json; charset=utf8",
            "application/json;charset=\"UTF8\"",
            "application/json; charset='utf-8'",
            "application/json ; charset = Utf-8",
        ] {
            let asked = post_with(Some(content_type), body()).await;
            assert!(asked.is_ok(), "{content_type}");
        }
        for content_type in [
            None,
            Some(""),
            Some("text/plain"),
            Some("text/plain;charset=UTF-8"),
            Some("application/x-www-form-urlencoded"),
            Some("multipart/form-data; boundary=x"),
            Some("application/graphql"),
            Some("application/jsonp"),
            Some("text/plain; application/json"),
            Some("application/json; charset=utf-16"),
            Some("application/json; charset"),
        ] {
            let asked = post_with(content_type, body()).await;
            assert_eq!(
                status(asked),
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "{content_type:?}"
            );
        }
    }

    #[tokio::test]
    async fn two_content_types_and_a_content_coding_are_refused() {
        let twice = [
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ];
        let coded = [
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        for headers in [twice, coded] {
            let mut request = HttpRequest::post("/graphql");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let parts = request.body(()).unwrap().into_parts().0;
            let asked = asked(&parts, Body::from("{\"query\":\"a\"}"), &settings()).await;
            assert_eq!(status(asked), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_not_read_to_its_end() {
        let asked = post_with(Some("application/json"), "x".repeat(201).into()).await;
        assert_eq!(status(asked), StatusCode::PAYLOAD_TOO_LARGE);
        // Without a length, and without an end.
        let chunks = stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(64)));
        let asked = post_with(Some("application/json"), Body::from_stream(chunks)).await;
        assert_eq!(status(asked), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_ends_early_is_refused() {
        let chunks = stream::iter([Ok::<_, std::io::Error>("{")]).chain(stream::pending());
        let asked = post_with(Some("application/json"), Body::from_stream(chunks)).await;
        assert_eq!(status(asked), StatusCode::REQUEST_TIMEOUT);
        let chunks = stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]);
        let asked = post_with(Some("application/json"), Body::from_stream(chunks)).await;
        assert_eq!(status(asked), StatusCode::BAD_REQUEST);
    }

    /// Whether a request has the content of the JSON.
    fn agrees(request: &Request, said: &Json) -> bool {
        let map = |name: &str| match &said[name] {
            Json::Null => json!({}),
            nothing if nothing == "" => json!({}),
            map => map.clone(),
        };
        let name = said["operationName"]
            .as_str()
            .filter(|name| !name.is_empty());
        request.query == said["query"].as_str().unwrap_or_default()
            && request.operation_name.as_deref() == name
            && json!(request.variables) == map("variables")
    }

    /// Whether the error has one of the documented codes.
    fn has_a_stable_code(error: &HttpError) -> bool {
        let expected = match error.status().as_u16() {
            400 => ["BAD_REQUEST", "BATCH_TOO_LARGE"],
            413 => ["PAYLOAD_TOO_LARGE"; 2],
            415 => ["UNSUPPORTED_MEDIA_TYPE"; 2],
            _ => return false,
        };
        expected.contains(&error.code())
    }

    fn address(request: &Map<String, Json>) -> String {
        let mut address = form_urlencoded::Serializer::new(String::new());
        for (name, value) in request {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            address.append_pair(name, &text);
        }
        address.finish()
    }

    const MAX_BODY: usize = 600;

    /// Sends a body in pieces of these sizes.
    fn send(content_type: &str, body: &[u8], sizes: &[usize]) -> Result<Asked, HttpError> {
        let (mut pieces, mut rest) = (Vec::new(), body);
        for size in sizes.iter().cycle() {
            let (piece, more) = rest.split_at((*size).min(rest.len()));
            pieces.push(Ok::<_, std::io::Error>(piece.to_vec()));
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        let mut request = HttpRequest::post("/graphql").body(()).unwrap();
        let value = HeaderValue::from_str(content_type).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, value);
        let settings = Settings {
            max_body: MAX_BODY,
            body_timeout: Duration::from_secs(20),
            ..settings()
        };
        let body = Body::from_stream(stream::iter(pieces));
        let parts = request.into_parts().0;
        let asked = asked(&parts, body, &settings);
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(asked)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn every_request_is_parsed_the_same_by_post_and_by_get(request in any_request()) {
            let json = Json::Object(request.clone());
            prop_assert!(agrees(&one(post(json.to_string())), &json));
            let read = get(&address(&request));
            prop_assert!(read.is_ok(), "{read:?}");
            let read = read.unwrap();
            prop_assert!(agrees(&read, &json), "{read:?}");
            prop_assert_eq!(read.extensions.0.contains_key("documentId"), request.contains_key("documentId")
                || json["extensions"].get("documentId").is_some());
        }

        #[test]
        fn any_json_is_a_request_a_batch_or_refused(said in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            match post(said.to_string()) {
                Ok(Asked::One(request)) => prop_assert!(agrees(&request, &said)),
                Ok(Asked::Batch(requests)) => prop_assert!((1..=2).contains(&requests.len())),
                Err(error) => prop_assert!(has_a_stable_code(&error), "{error:?}"),
            }
            let _ = post(bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn a_damaged_request_is_parsed_as_its_bytes_or_refused(
            request in any_request(), damages in any_damages(), sizes in prop::collection::vec(1usize..200, 1..4),
            content_type in "application/json(; ?charset=\"?utf-8\"?)?|application/json;[a-z=; \"]{0,12}|[a-z]{1,5}/[a-z+]{1,9}",
        ) {
            let text = Json::Object(request.clone()).to_string();
            let address = address(&request);
            for damage in damages {
                let body = damage.of(&text);
                match send(&content_type, &body, &sizes) {
                    Ok(asked) => {
                        prop_assert!(body.len() <= MAX_BODY && content_type.starts_with("application/json"));
                        let said = graphql::json::parse(str::from_utf8(&body).unwrap()).unwrap();
                        match asked {
                            Asked::One(request) => prop_assert!(agrees(&request, &said)),
                            Asked::Batch(requests) => {
                                prop_assert_eq!(requests.len(), said.as_array().unwrap().len());
                            }
                        }
                    }
                    Err(error) => prop_assert!(has_a_stable_code(&error), "{error:?}"),
                }
                match get(&String::from_utf8_lossy(&damage.of(&address))) {
                    Ok(read) => prop_assert!(!read.query.is_empty() || !read.extensions.0.is_empty()),
                    Err(error) => prop_assert!(has_a_stable_code(&error), "{error:?}"),
                }
            }
        }
    }
}
