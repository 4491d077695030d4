//! GraphQL over HTTP: content types, statuses, refusals, and persisted documents.

use futures_util::{Stream, StreamExt as _, stream};
use reqwest::{Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::test_app::{Db, TestApp, soon, token};

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";

/// Partial success, a status that the draft defines.
const PARTIAL: u16 = 294;

/// A received response.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    async fn of(request: RequestBuilder) -> Self {
        let response: Response = soon("a response", request.send()).await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = soon("the body", response.text()).await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text:?}"));
        Self {
            status,
            headers,
            body,
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The code of the first error.
    fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// A POST with ann's token, to be completed.
fn post(app: &TestApp, accept: &str) -> RequestBuilder {
    let request = app.http.post(app.url("/graphql"));
    request.bearer_auth(token("ann")).header("accept", accept)
}

async fn ask(app: &TestApp, accept: &str, body: Value) -> Reply {
    Reply::of(post(app, accept).json(&body)).await
}

async fn get(app: &TestApp, accept: &str, parameters: &[(&str, &str)]) -> Reply {
    let mut url = url::Url::parse(&app.url("/graphql")).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    let request = app.http.get(url).bearer_auth(token("ann"));
    Reply::of(request.header("accept", accept)).await
}

/// A body without a Content-Length.
fn streamed(chunks: impl Stream<Item = Vec<u8>> + Send + 'static) -> reqwest::Body {
    reqwest::Body::wrap_stream(chunks.map(Ok::<_, std::io::Error>))
}

#[tokio::test]
async fn a_response_has_the_content_type_that_the_client_prefers() {
    let app = TestApp::start(Db::Sqlite).await;
    for (accept, form) in [
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (
            "application/graphql-response+json, application/json;q=0.9",
            GRAPHQL,
        ),
        ("application/json, */*", JSON),
        ("*/*", JSON),
    ] {
        let reply = ask(&app, accept, json!({"query": "{ libraryVersion }"})).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("content-type"),
            format!("{form}; charset=utf-8"),
            "{accept}"
        );
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.header("vary").contains("accept"));
        let head = app.user("ann").head().await;
        let extensions = json!({"libraryVersion": 1, "libraryHead": head});
        assert_eq!(
            reply.body,
            json!({"data": {"libraryVersion": 1}, "extensions": extensions})
        );
    }
}

#[tokio::test]
async fn a_request_error_has_its_status_and_no_data() {
    let app = TestApp::start(Db::Sqlite).await;
    let variable = "query ($id: ID!) { progress(id: $id) { id } }";
    for (request, status, code) in [
        (json!({"query": "{"}), 400, "GRAPHQL_PARSE_FAILED"),
        (
            json!({"query": "{ nope }"}),
            422,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({"query": "{ tags { id @skip(if: 1) } }"}),
            400,
            "BAD_USER_INPUT",
        ),
        (json!({"query": variable}), 400, "BAD_USER_INPUT"),
        (
            json!({"query": variable, "variables": {"id": null}}),
            400,
            "BAD_USER_INPUT",
        ),
        (
            json!({"query": "{ libraryVersion }", "operationName": "A"}),
            422,
            "OPERATION_RESOLUTION_FAILURE",
        ),
        (
            json!({"query": "query A { __typename } query B { __typename }"}),
            422,
            "OPERATION_RESOLUTION_FAILURE",
        ),
        (
            json!({"query": format!("{{ {} }}", "a: __typename ".repeat(51))}),
            422,
            "QUERY_TOO_COMPLEX",
        ),
        (
            json!({"query": "subscription { libraryVersion }"}),
            422,
            "SUBSCRIPTION_NOT_SUPPORTED",
        ),
    ] {
        let reply = ask(&app, GRAPHQL, request.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{request}");
        assert!(reply.body.get("data").is_none(), "{reply:?}");
        assert_eq!(
            reply.header("content-type"),
            format!("{GRAPHQL}; charset=utf-8")
        );
        // Clients of `application/json` read the body only with a 2xx status.
        let reply = ask(&app, JSON, request.clone()).await;
        assert_eq!((reply.status, reply.code()), (200, code), "{request}");
        assert!(reply.body.get("data").is_none(), "{reply:?}");
    }
}

#[tokio::test]
async fn a_field_error_keeps_the_other_data() {
    let app = TestApp::start(Db::Sqlite).await;
    let partial = json!({"query": "{ libraryVersion progress(id: \"x\") { id } }"});
    let whole = json!({"query": "{ libraryVersion progresses(first: 1000) { totalCount } }"});
    for (accept, status) in [(GRAPHQL, PARTIAL), (JSON, 200)] {
        let reply = ask(&app, accept, partial.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, "BAD_USER_INPUT"));
        assert_eq!(
            reply.body["data"],
            json!({"libraryVersion": 1, "progress": null})
        );
        assert_eq!(reply.body["errors"][0]["path"], json!(["progress"]));
        let keys: Vec<_> = reply.body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["data", "errors", "extensions"]);
        // Null propagates to the nearest nullable parent, here `data`.
        let reply = ask(&app, accept, whole.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, "BAD_USER_INPUT"));
        assert_eq!(reply.body["data"], Value::Null);
        assert_eq!(reply.body["errors"][0]["path"], json!(["progresses"]));
    }
}

#[tokio::test]
async fn a_field_error_in_a_list_keeps_the_elements() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    ann.create_tag("a").await;
    let query = "{ libraryVersion history { nodes { version changes(first: -1) { id } } } }";
    let reply = ann.send(query, json!({})).await;
    let nodes = json!([{"version": 2, "changes": null}]);
    assert_eq!(
        reply["data"],
        json!({"libraryVersion": 2, "history": {"nodes": nodes}})
    );
    assert_eq!(
        reply["errors"][0]["path"],
        json!(["history", "nodes", 0, "changes"])
    );
}

#[tokio::test]
async fn a_malformed_request_is_400_in_either_content_type() {
    let app = TestApp::start(Db::Sqlite).await;
    for body in [
        "",
        "nonsense",
        "{\"query\":",
        "{\"qeury\":\"{ libraryVersion }\"}",
        "{\"query\":1}",
        "{\"query\":\"{ libraryVersion }\",\"variables\":[]}",
        "{\"query\":\"{ libraryVersion }\",\"operationName\":1}",
        "{\"query\":\"{ libraryVersion }\",\"extensions\":\"x\"}",
        "[{\"query\":\"{ libraryVersion }\"}]",
    ] {
        for accept in [GRAPHQL, JSON] {
            let request = post(&app, accept).header("content-type", JSON);
            let reply = Reply::of(request.body(body)).await;
            assert_eq!(reply.status, 400, "{body}");
            let code = if body.starts_with('[') {
                "BATCH_TOO_LARGE"
            } else {
                "BAD_REQUEST"
            };
            assert_eq!(reply.code(), code, "{body}");
            assert!(reply.header("content-type").starts_with(accept));
            let message = reply.body["errors"][0]["message"].as_str().unwrap();
            assert!(
                !message.contains("::") && !message.contains('\n'),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn an_unauthenticated_request_is_401_in_either_content_type() {
    let app = TestApp::start(Db::Sqlite).await;
    for accept in [GRAPHQL, JSON] {
        let request = app.http.post(app.url("/graphql")).header("accept", accept);
        let reply = Reply::of(request.json(&json!({"query": "{ __typename }"}))).await;
        assert_eq!((reply.status, reply.code()), (401, "UNAUTHENTICATED"));
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
        assert!(reply.header("content-type").starts_with(accept));
        let forged = app.http.get(app.url("/graphql?query=%7B__typename%7D"));
        let reply = Reply::of(forged.bearer_auth("a.b.c").header("accept", accept)).await;
        assert_eq!((reply.status, reply.code()), (401, "UNAUTHENTICATED"));
    }
}

#[tokio::test]
async fn a_query_may_use_get_and_an_operation_name() {
    let app = TestApp::start(Db::Sqlite).await;
    let two = "query A { a: libraryVersion } query B($t: Boolean = true) { b: libraryVersion @include(if: $t) c: __typename }";
    for (parameters, data) in [
        (
            vec![("query", "{ libraryVersion }")],
            json!({"libraryVersion": 1}),
        ),
        (
            vec![("query", two), ("operationName", "A")],
            json!({"a": 1}),
        ),
        (
            vec![("query", two), ("operationName", "B")],
            json!({"b": 1, "c": "Query"}),
        ),
        (
            vec![
                ("query", two),
                ("operationName", "B"),
                ("variables", "{\"t\":false}"),
            ],
            json!({"c": "Query"}),
        ),
        (
            vec![
                ("query", "{ libraryVersion }"),
                ("operationName", ""),
                ("variables", ""),
                ("extensions", "{}"),
            ],
            json!({"libraryVersion": 1}),
        ),
    ] {
        let reply = get(&app, GRAPHQL, &parameters).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["data"], data);
    }
    let reply = get(&app, GRAPHQL, &[("query", two)]).await;
    assert_eq!(
        (reply.status, reply.code()),
        (422, "OPERATION_RESOLUTION_FAILURE")
    );
    let reply = get(&app, GRAPHQL, &[("query", "{ a }"), ("variables", "{")]).await;
    assert_eq!((reply.status, reply.code()), (400, "BAD_REQUEST"));
    let head = app.http.head(app.url("/graphql?query=%7B__typename%7D"));
    let head = soon("a response", head.bearer_auth(token("ann")).send())
        .await
        .unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn get_runs_no_mutation() {
    let app = TestApp::start(Db::Sqlite).await;
    let mutation = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
    let both = &format!(
        "query Q {{ __typename }} {}",
        mutation.replace("mutation", "mutation M")
    );
    for parameters in [
        vec![("query", mutation)],
        vec![("query", both), ("operationName", "M")],
    ] {
        for accept in [GRAPHQL, JSON, "text/event-stream"] {
            let reply = get(&app, accept, &parameters).await;
            assert_eq!(
                (reply.status, reply.code()),
                (405, "METHOD_NOT_ALLOWED"),
                "{accept}"
            );
            assert_eq!(reply.header("allow"), "POST");
        }
    }
    assert_eq!(
        get(&app, JSON, &[("query", both), ("operationName", "Q")])
            .await
            .status,
        200
    );
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn another_method_is_405() {
    let app = TestApp::start(Db::Sqlite).await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = app.http.request(method, app.url("/graphql"));
        let reply = Reply::of(request.bearer_auth(token("ann"))).await;
        assert_eq!((reply.status, reply.code()), (405, "METHOD_NOT_ALLOWED"));
        assert_eq!(reply.header("allow"), "GET, HEAD, POST");
    }
}

#[tokio::test]
async fn an_unacceptable_content_type_is_406() {
    let app = TestApp::start(Db::Sqlite).await;
    for accept in [
        "text/html",
        "application/xml, text/*",
        "application/json;q=0",
    ] {
        let reply = ask(&app, accept, json!({"query": "{ __typename }"})).await;
        assert_eq!(
            (reply.status, reply.code()),
            (406, "NOT_ACCEPTABLE"),
            "{accept}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_with_and_without_a_length() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-body", "100000"]).await;
    let query = |bytes: usize| {
        let query = json!({"query": "{ libraryVersion }", "extensions": {"x": ""}}).to_string();
        query.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - query.len())))
    };
    let send =
        |body: reqwest::Body| Reply::of(post(&app, JSON).header("content-type", JSON).body(body));
    let chunked = |text: String| {
        let chunks: Vec<_> = text.as_bytes().chunks(1_000).map(<[u8]>::to_vec).collect();
        streamed(stream::iter(chunks))
    };
    assert_eq!(send(query(100_000).into()).await.status, 200);
    assert_eq!(send(chunked(query(100_000))).await.status, 200);
    for body in [
        query(100_001).into(),
        chunked(query(100_001)),
        query(10 << 20).into(),
    ] {
        let reply = send(body).await;
        assert_eq!((reply.status, reply.code()), (413, "PAYLOAD_TOO_LARGE"));
    }
}

#[tokio::test]
async fn a_body_that_is_not_sent_is_408() {
    let app = TestApp::start_with(Db::Sqlite, &["--body-timeout", "100ms"]).await;
    let body = streamed(stream::pending());
    let reply = Reply::of(post(&app, JSON).header("content-type", JSON).body(body)).await;
    assert_eq!((reply.status, reply.code()), (408, "REQUEST_TIMEOUT"));
}

/// CSRF: with a cookie, a browser's page can send a request without its user's knowledge.
mod csrf {
    use super::*;

    const MUTATION: &str = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";

    async fn start() -> TestApp {
        let flags = [
            "--session-cookie",
            "session",
            "--allowed-origins",
            "https://app.example",
        ];
        TestApp::start_with(Db::Sqlite, &flags).await
    }

    fn with_cookie(app: &TestApp, method: Method) -> RequestBuilder {
        let path = match method {
            Method::GET => "/graphql?query=%7BlibraryVersion%7D",
            _ => "/graphql",
        };
        let request = app.http.request(method, app.url(path));
        request.header("cookie", format!("a=b; session={}", token("ann")))
    }

    #[tokio::test]
    async fn a_form_or_text_is_415_even_from_an_allowed_origin() {
        let app = start().await;
        let json = json!({"query": MUTATION}).to_string();
        let form = format!(
            "query={}",
            url::form_urlencoded::byte_serialize(MUTATION.as_bytes()).collect::<String>()
        );
        let part = format!(
            "--x\r\ncontent-disposition: form-data; name=\"query\"\r\n\r\n{MUTATION}\r\n--x--\r\n"
        );
        for (content_type, body) in [
            (Some("text/plain"), &json),
            (Some("text/plain;charset=UTF-8"), &json),
            (None, &json),
            (Some("application/x-www-form-urlencoded"), &form),
            (Some("application/x-www-form-urlencoded"), &json),
            (Some("multipart/form-data; boundary=x"), &part),
        ] {
            for (origin, status) in [
                ("https://app.example", 415),
                ("https://evil.example", 403),
                ("null", 403),
            ] {
                let mut request = with_cookie(&app, Method::POST)
                    .header("origin", origin)
                    .body(body.clone());
                if let Some(content_type) = content_type {
                    request = request.header("content-type", content_type);
                }
                assert_eq!(
                    Reply::of(request).await.status,
                    status,
                    "{content_type:?} {origin}"
                );
            }
        }
        assert_eq!(app.user("ann").version().await, 1);
    }

    #[tokio::test]
    async fn json_needs_an_allowed_origin() {
        let app = start().await;
        let post = || with_cookie(&app, Method::POST).json(&json!({"query": MUTATION}));
        let refused = [
            post(),
            post().header("origin", "https://evil.example"),
            post().header("origin", "null"),
            post().header("sec-fetch-site", "same-origin"),
        ];
        for request in refused {
            let reply = Reply::of(request).await;
            assert_eq!((reply.status, reply.code()), (403, "FORBIDDEN"));
        }
        assert_eq!(app.user("ann").version().await, 1);
        for origin in ["https://app.example", &app.base] {
            assert_eq!(
                Reply::of(post().header("origin", origin)).await.status,
                200,
                "{origin}"
            );
        }
        assert_eq!(app.user("ann").version().await, 2);
    }

    #[tokio::test]
    async fn a_get_needs_an_origin_or_fetch_metadata_too() {
        let app = start().await;
        let get = || with_cookie(&app, Method::GET);
        let refused = [
            get(),
            get().header("origin", "https://evil.example"),
            get().header("sec-fetch-site", "cross-site"),
            get()
                .header("sec-fetch-site", "cross-site")
                .header("graphql-require-preflight", "1"),
            get().header("sec-fetch-site", "none"),
        ];
        for request in refused {
            let reply = Reply::of(request).await;
            assert_eq!((reply.status, reply.code()), (403, "FORBIDDEN"));
        }
        let admitted = [
            get().header("origin", "https://app.example"),
            get().header("sec-fetch-site", "same-origin"),
            get().header("graphql-require-preflight", "1"),
            get().header("apollo-require-preflight", "true"),
        ];
        for request in admitted {
            assert_eq!(Reply::of(request).await.status, 200);
        }
        let bearer = app.http.get(app.url("/graphql?query=%7B__typename%7D"));
        assert_eq!(
            Reply::of(bearer.bearer_auth(token("ann"))).await.status,
            200
        );
    }
}

mod batches {
    use super::*;

    #[tokio::test]
    async fn a_batch_runs_in_order_up_to_its_limit() {
        let app = TestApp::start_with(Db::Sqlite, &["--max-batch", "3"]).await;
        let tag = |name| json!({"query": format!("mutation {{ createTag(input: {{name: \"{name}\"}}) {{ libraryVersion }} }}")});
        let reply = ask(&app, GRAPHQL, json!([tag("a"), {"query": "{"}, tag("b")])).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").starts_with(JSON));
        assert_eq!(reply.body[0]["data"]["createTag"]["libraryVersion"], 2);
        assert_eq!(
            reply.body[1]["errors"][0]["extensions"]["code"],
            "GRAPHQL_PARSE_FAILED"
        );
        assert_eq!(reply.body[2]["data"]["createTag"]["libraryVersion"], 3);
        let four = json!([tag("c"), tag("d"), tag("e"), tag("f")]);
        for (batch, code) in [(json!([]), "BAD_REQUEST"), (four, "BATCH_TOO_LARGE")] {
            let reply = ask(&app, GRAPHQL, batch).await;
            assert_eq!((reply.status, reply.code()), (400, code));
        }
        assert_eq!(app.user("ann").version().await, 3);
    }
}

mod documents {
    use super::*;

    const TEXT: &str = "{ libraryVersion }";

    fn persisted(hash: &str) -> Value {
        json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
    }

    fn hash(text: &str) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest
            .as_ref()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }

    #[tokio::test]
    async fn a_document_is_persisted_once_and_then_referenced_by_hash() {
        let app = TestApp::start(Db::Sqlite).await;
        let extensions = persisted(&hash(TEXT));
        for (accept, status) in [(GRAPHQL, 400), (JSON, 200)] {
            let reply = ask(&app, accept, json!({"extensions": extensions})).await;
            assert_eq!(
                (reply.status, reply.code()),
                (status, "PERSISTED_QUERY_NOT_FOUND")
            );
            assert_eq!(reply.body["errors"][0]["message"], "PersistedQueryNotFound");
        }
        let reply = ask(
            &app,
            GRAPHQL,
            json!({"query": TEXT, "extensions": extensions}),
        )
        .await;
        assert_eq!(
            (reply.status, &reply.body["data"]),
            (200, &json!({"libraryVersion": 1}))
        );
        let reply = ask(&app, GRAPHQL, json!({"extensions": extensions})).await;
        assert_eq!(
            (reply.status, &reply.body["data"]),
            (200, &json!({"libraryVersion": 1}))
        );
        let reply = get(&app, GRAPHQL, &[("extensions", &extensions.to_string())]).await;
        assert_eq!(
            (reply.status, &reply.body["data"]),
            (200, &json!({"libraryVersion": 1}))
        );
        let reply = ask(
            &app,
            GRAPHQL,
            json!({"query": "{ __typename }", "extensions": extensions}),
        )
        .await;
        assert_eq!(
            (reply.status, reply.code()),
            (400, "PERSISTED_QUERY_HASH_MISMATCH")
        );
    }

    #[tokio::test]
    async fn an_invalid_document_is_not_persisted() {
        let app = TestApp::start(Db::Sqlite).await;
        for text in ["{ nope }", "{", &format!("{{a(x:{}", "[".repeat(2_000))] {
            let extensions = persisted(&hash(text));
            assert_eq!(
                ask(&app, JSON, json!({"query": text, "extensions": extensions}))
                    .await
                    .status,
                200
            );
            let reply = ask(&app, JSON, json!({"extensions": extensions})).await;
            assert_eq!(reply.code(), "PERSISTED_QUERY_NOT_FOUND");
        }
    }

    #[tokio::test]
    async fn a_persisted_mutation_does_not_run_by_get() {
        let app = TestApp::start(Db::Sqlite).await;
        let text = "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }";
        let extensions = persisted(&hash(text));
        assert_eq!(
            ask(
                &app,
                GRAPHQL,
                json!({"query": text, "extensions": extensions})
            )
            .await
            .status,
            200
        );
        let reply = get(&app, GRAPHQL, &[("extensions", &extensions.to_string())]).await;
        assert_eq!(reply.status, 405);
        assert_eq!(app.user("ann").version().await, 2);
    }

    #[tokio::test]
    async fn with_only_trusted_documents_no_other_document_runs() {
        let manifest = NamedTempFile::new().unwrap();
        let documents = json!({"version": TEXT, "add": "mutation A($n: String!) { createTag(input: {name: $n}) { libraryVersion } }"});
        std::fs::write(manifest.path(), documents.to_string()).unwrap();
        let path = manifest.path().to_str().unwrap();
        let app = TestApp::start_with(
            Db::Sqlite,
            &["--trusted-documents", path, "--only-trusted-documents"],
        )
        .await;
        for request in [
            json!({"documentId": "version"}),
            json!({"extensions": persisted("version")}),
            json!({"query": TEXT}),
            json!({"documentId": "add", "variables": {"n": "a"}}),
        ] {
            let reply = ask(&app, GRAPHQL, request.clone()).await;
            assert!(
                reply.status == 200 && reply.body.get("errors").is_none(),
                "{request}: {reply:?}"
            );
        }
        let reply = get(&app, GRAPHQL, &[("documentId", "version")]).await;
        assert_eq!(reply.body["data"], json!({"libraryVersion": 2}));
        for (request, status, code) in [
            (
                json!({"query": "{ __typename }"}),
                422,
                "DOCUMENT_NOT_TRUSTED",
            ),
            (
                json!({"query": "{ __typename }", "extensions": persisted(&hash("{ __typename }"))}),
                422,
                "DOCUMENT_NOT_TRUSTED",
            ),
            (
                json!({"documentId": "nope"}),
                400,
                "PERSISTED_QUERY_NOT_FOUND",
            ),
            (
                json!({"documentId": "version", "query": "{ __typename }"}),
                400,
                "PERSISTED_QUERY_HASH_MISMATCH",
            ),
        ] {
            let reply = ask(&app, GRAPHQL, request.clone()).await;
            assert_eq!((reply.status, reply.code()), (status, code), "{request}");
        }
    }
}
