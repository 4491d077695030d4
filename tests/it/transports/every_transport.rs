//! GraphQL semantics are the same over every transport: each rule here is tested over all of them.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    support::socket::Socket,
    support::test_app::{Db, TestApp, soon, token},
};

/// How one operation is sent and its result returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Post,
    PostForLegacyClients,
    Get,
    /// The hash first, the text when the server asks for it.
    Persisted,
    Websocket,
    Sse,
    SseByGet,
    Multipart,
}

impl Method {
    const ALL: [Self; 8] = [
        Self::Post,
        Self::PostForLegacyClients,
        Self::Get,
        Self::Persisted,
        Self::Websocket,
        Self::Sse,
        Self::SseByGet,
        Self::Multipart,
    ];

    fn is_get(self) -> bool {
        matches!(self, Self::Get | Self::SseByGet)
    }

    fn is_stream(self) -> bool {
        matches!(
            self,
            Self::Websocket | Self::Sse | Self::SseByGet | Self::Multipart
        )
    }

    /// The first result of a request.
    async fn execute(self, app: &TestApp, request: &Value) -> Value {
        let response = async {
            match self {
                Self::Websocket => by_socket(app, request).await,
                Self::Persisted => {
                    let query = request["query"].as_str().unwrap();
                    let mut named = request.clone();
                    named["query"] = Value::Null;
                    named["extensions"] = persisted(&hash(query));
                    let response = by_http(app, self, &named).await;
                    if response.get("data").is_some() {
                        return response;
                    }
                    assert_eq!(code(&response), "PERSISTED_QUERY_NOT_FOUND", "{response}");
                    named["query"] = query.into();
                    by_http(app, self, &named).await
                }
                _ => by_http(app, self, request).await,
            }
        };
        soon("a response", Box::pin(response)).await
    }

    fn accept(self) -> &'static str {
        match self {
            Self::PostForLegacyClients => "application/json",
            Self::Sse | Self::SseByGet => "text/event-stream",
            // Does not accept JSON, so that even a single result is multipart.
            Self::Multipart => "multipart/mixed;boundary=graphql;subscriptionSpec=1.0",
            _ => "application/graphql-response+json",
        }
    }
}

fn hash(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let hex = |hex: String, byte: &u8| format!("{hex}{byte:02x}");
    digest.as_ref().iter().fold(String::new(), hex)
}

fn persisted(hash: &str) -> Value {
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

fn code(response: &Value) -> &str {
    let code = response["errors"][0]["extensions"]["code"].as_str();
    code.unwrap_or_else(|| panic!("{response}"))
}

fn http(app: &TestApp, method: Method, request: &Value) -> RequestBuilder {
    let mut url = url::Url::parse(&app.url("/graphql")).unwrap();
    let builder = if method.is_get() {
        for (name, value) in request.as_object().unwrap() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            url.query_pairs_mut().append_pair(name, &text);
        }
        app.http.get(url)
    } else {
        app.http.post(url).json(request)
    };
    builder
        .bearer_auth(token("ann"))
        .header("accept", method.accept())
}

async fn by_http(app: &TestApp, method: Method, request: &Value) -> Value {
    let mut response = http(app, method, request).send().await.unwrap();
    let is_stream = response.headers()["content-type"].to_str().unwrap();
    let is_stream =
        is_stream.starts_with("text/event-stream") || is_stream.starts_with("multipart");
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(str::from_utf8(&chunk).unwrap());
        if is_stream && let Some(response) = streamed(&text) {
            return response;
        }
    }
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?}"))
}

/// The first complete result in a stream.
fn streamed(text: &str) -> Option<Value> {
    if let Some((_, event)) = text.split_once("event: next\ndata: ") {
        let (json, _) = event.split_once("\n\n")?;
        return Some(serde_json::from_str(json).unwrap());
    }
    let (_, part) = text.split_once("\r\n\r\n")?;
    let (json, _) = part.split_once("\r\n--graphql")?;
    let part: Value = serde_json::from_str(json).unwrap();
    Some(part["payload"].clone())
}

async fn by_socket(app: &TestApp, request: &Value) -> Value {
    let mut socket = Socket::of(app, &token("ann")).await;
    socket
        .send(json!({"id": "1", "type": "subscribe", "payload": request}))
        .await;
    let message = socket.next().await;
    match message["type"].as_str().unwrap() {
        "next" => message["payload"].clone(),
        // Request errors have their own message type.
        "error" => json!({"errors": message["payload"]}),
        _ => panic!("{message}"),
    }
}

#[tokio::test]
async fn every_transport_returns_the_same_data() {
    let app = TestApp::start(Db::Sqlite).await;
    app.user("ann").add("A").await;
    let two = "query A { libraryVersion } query B { b: libraryVersion }";
    let first = "query ($n: Int) { progresses(first: $n) { pageInfo { hasNextPage } } }";
    let page = |has_next| json!({"progresses": {"pageInfo": {"hasNextPage": has_next}}});
    app.user("ann").add("B").await;
    for (request, data) in [
        (
            json!({"query": "{ libraryVersion }"}),
            json!({"libraryVersion": 3}),
        ),
        (
            json!({"query": "subscription { libraryVersion }"}),
            json!({"libraryVersion": 3}),
        ),
        (
            json!({"query": "subscription S { ...V } fragment V on Subscription { v: libraryVersion }"}),
            json!({"v": 3}),
        ),
        // Conditions on variables that are omitted and have defaults.
        (
            json!({"query": "query ($yes: Boolean = true, $no: Boolean = false) {
                a: __typename @include(if: $yes) b: __typename @skip(if: $yes) viewer { id @skip(if: $yes) x: id @include(if: $yes) }
                c: __typename @include(if: $no) ...F @skip(if: $no) } fragment F on Query { d: __typename @skip(if: $yes) e: __typename }"}),
            json!({"a": "Query", "viewer": {"x": "ann"}, "e": "Query"}),
        ),
        (
            json!({"query": "query ($yes: Boolean = true) { a: __typename @include(if: $yes) b: __typename @skip(if: $yes) }", "variables": {"yes": false}}),
            json!({"b": "Query"}),
        ),
        // An argument with a default takes it only when its variable is omitted.
        (json!({"query": first}), page(false)),
        (json!({"query": first, "variables": {"n": 1}}), page(true)),
        (
            json!({"query": first.replace("Int", "Int = 1")}),
            page(true),
        ),
        (
            json!({"query": first.replace("Int", "Int = 1"), "variables": {"n": 2}}),
            page(false),
        ),
        (
            json!({"query": "query ($after: String) { progresses(first: 1, after: $after) { pageInfo { hasNextPage } } }"}),
            page(true),
        ),
        (
            json!({"query": two, "operationName": "A"}),
            json!({"libraryVersion": 3}),
        ),
        (json!({"query": two, "operationName": "B"}), json!({"b": 3})),
        (
            json!({"query": "{ b: __typename a: libraryVersion c: __typename }"}),
            json!({"b": "Query", "a": 3, "c": "Query"}),
        ),
    ] {
        for method in Method::ALL {
            let response = method.execute(&app, &request).await;
            if request["query"]
                .as_str()
                .unwrap()
                .starts_with("subscription")
                && !method.is_stream()
            {
                assert_eq!(code(&response), "SUBSCRIPTION_NOT_SUPPORTED", "{method:?}");
                continue;
            }
            assert!(
                response.get("errors").is_none(),
                "{method:?} {request} {response}"
            );
            assert_eq!(response["data"], data, "{method:?} {request}");
        }
    }
}

#[tokio::test]
async fn a_field_error_nulls_only_the_nearest_nullable_field() {
    let app = TestApp::start(Db::Sqlite).await;
    for (query, data, path) in [
        (
            "{ libraryVersion progress(id: \"x\") { id } story(id: \"00000000-0000-7000-8000-000000000000\") { id } }",
            json!({"libraryVersion": 1, "progress": null, "story": null}),
            json!(["progress"]),
        ),
        (
            "{ libraryVersion mine: progresses(first: 101) { totalCount } }",
            Value::Null,
            json!(["mine"]),
        ),
    ] {
        for method in Method::ALL {
            let response = method.execute(&app, &json!({"query": query})).await;
            assert_eq!(response.get("data"), Some(&data), "{method:?}");
            assert_eq!(response["errors"].as_array().unwrap().len(), 1);
            assert_eq!(response["errors"][0]["path"], path, "{method:?}");
            assert_eq!(code(&response), "BAD_USER_INPUT");
            assert!(
                response["errors"][0]["extensions"]["field"].is_string(),
                "{response}"
            );
        }
    }
}

#[tokio::test]
async fn a_request_error_has_no_data() {
    let app = TestApp::start(Db::Sqlite).await;
    let progress = "query ($id: ID!) { progress(id: $id) { id } }";
    for (request, expected) in [
        (json!({"query": "{ libraryVersion"}), "GRAPHQL_PARSE_FAILED"),
        (json!({"query": "{ nope }"}), "GRAPHQL_VALIDATION_FAILED"),
        (
            json!({"query": "subscription { nope }"}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({"query": "subscription { a: libraryVersion b: libraryVersion }"}),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (json!({"query": progress}), "BAD_USER_INPUT"),
        (
            json!({"query": progress, "variables": {"id": null}}),
            "BAD_USER_INPUT",
        ),
        (
            json!({"query": progress, "variables": {"id": {}}}),
            "BAD_USER_INPUT",
        ),
        (
            json!({"query": "{ progress(id: true) { id } }"}),
            "BAD_USER_INPUT",
        ),
        (
            json!({"query": progress, "operationName": "A", "variables": {"id": "a"}}),
            "OPERATION_RESOLUTION_FAILURE",
        ),
        (
            json!({"query": "query A { __typename } query B { __typename }"}),
            "OPERATION_RESOLUTION_FAILURE",
        ),
    ] {
        for method in Method::ALL {
            let response = method.execute(&app, &request).await;
            assert_eq!(code(&response), expected, "{method:?} {request}");
            assert!(response.get("data").is_none(), "{method:?} {response}");
        }
    }
}

#[tokio::test]
async fn a_document_that_would_exhaust_the_server_is_refused_by_every_transport() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-batch", "2"]).await;
    let twice = |n| format!("fragment F{n} on Query {{ ...F{m} ...F{m} }}", m = n + 1);
    let alias = |n| format!("a{n}: libraryVersion ");
    let tags = |n| format!("a{n}: tags {{ id name }} ");
    let page = |n| {
        let of = "id readingStatus notes rating story { id title tags { name } }";
        format!("a{n}: progresses(first: 100) {{ edges {{ node {{ {of} }} }} }} ")
    };
    let (bomb, aliases): (String, String) =
        ((0..40).map(twice).collect(), (0..100).map(alias).collect());
    let attacks = [
        (
            "nested lists",
            format!(
                "{{ progress(id: {}1{}) {{ id }} }}",
                "[".repeat(2_000),
                "]".repeat(2_000)
            ),
        ),
        (
            "open lists",
            format!("{{ progress(id: {}", "[".repeat(2_000)),
        ),
        (
            "nested objects",
            format!(
                "{{ progress(id: {}1{}) {{ id }} }}",
                "{a:".repeat(2_000),
                "}".repeat(2_000)
            ),
        ),
        ("nested types", format!("query ($a: {}", "[".repeat(2_000))),
        (
            "deep",
            format!("{}{}", "{ progress ".repeat(30), "}".repeat(30)),
        ),
        // Far below the maximum length, so that only its tokens exceed a limit.
        ("wide", format!("{{ {} }}", "a ".repeat(5_000))),
        (
            "whole lists",
            format!("{{ {} }}", (0..50).map(tags).collect::<String>()),
        ),
        ("aliased", format!("{{ {aliases} }}")),
        (
            "many pages",
            format!("{{ {} }}", (0..40).map(page).collect::<String>()),
        ),
        (
            "multiplied",
            format!("{{ ...F0 }} {bomb} fragment F40 on Query {{ libraryVersion }}"),
        ),
        (
            "long",
            format!("{{ libraryVersion }} # {}", "x".repeat(64 << 10)),
        ),
    ];
    for (attack, query) in &attacks {
        for method in Method::ALL {
            // A URL cannot be that long.
            if method.is_get() && query.len() > 16_000 {
                continue;
            }
            let response = method.execute(&app, &json!({"query": query})).await;
            assert_eq!(code(&response), "QUERY_TOO_COMPLEX", "{attack} {method:?}");
        }
        let batch = by_http(
            &app,
            Method::Post,
            &json!([{"query": "{ __typename }"}, {"query": query}]),
        )
        .await;
        assert_eq!(code(&batch[1]), "QUERY_TOO_COMPLEX", "{attack} in a batch");
    }
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn an_omitted_input_field_is_unchanged_and_null_clears_it() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let update = "mutation ($id: ID!, $r: Float, $n: String, $c: Int) { updateProgress(input: {id: $id, rating: $r, notes: $n, currentChapter: $c}) { progress { rating notes currentChapter } } }";
    for method in Method::ALL.into_iter().filter(|method| !method.is_get()) {
        let url = format!("https://example.org/{method:?}");
        let input =
            json!({"title": "A", "url": url, "rating": 4.5, "notes": "n", "currentChapter": 3});
        let id = ann.create_story(input).await["progress"]["id"].take();
        for (variables, expected) in [
            (json!({}), json!([4.5, "n", 3])),
            (json!({"c": 7}), json!([4.5, "n", 7])),
            (json!({"r": null}), json!([null, "n", 7])),
            (json!({"n": null, "r": 1.5}), json!([1.5, null, 7])),
        ] {
            let mut all = variables.clone();
            all["id"] = id.clone();
            let response = method
                .execute(&app, &json!({"query": update, "variables": all}))
                .await;
            let progress = &response["data"]["updateProgress"]["progress"];
            let found = json!([
                progress["rating"],
                progress["notes"],
                progress["currentChapter"]
            ]);
            assert_eq!(found, expected, "{method:?} {variables} {response}");
        }
    }
}

#[tokio::test]
async fn a_persisted_document_is_validated_like_a_sent_one() {
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(2_000), close.repeat(2_000));
        format!("{{ progress(id: {open}1{close}) {{ id }} }}")
    };
    let app = TestApp::start(Db::Sqlite).await;
    for method in Method::ALL
        .into_iter()
        .filter(|method| *method != Method::Persisted)
    {
        for (query, expected) in [
            (nested("[", "]"), "QUERY_TOO_COMPLEX"),
            (nested("{a:", "}"), "QUERY_TOO_COMPLEX"),
            ("{ nope }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ] {
            let extensions = persisted(&hash(&query));
            let register = json!({"query": query, "extensions": extensions});
            assert_eq!(
                code(&method.execute(&app, &register).await),
                expected,
                "{method:?}"
            );
            let named = json!({"query": "", "extensions": extensions});
            let response = method.execute(&app, &named).await;
            assert_eq!(code(&response), "PERSISTED_QUERY_NOT_FOUND", "{method:?}");
        }
        // A valid document is persisted by any method and available to every method.
        let query = format!("{{ libraryVersion }} # {method:?}");
        let extensions = persisted(&hash(&query));
        let register = json!({"query": query, "extensions": extensions});
        let named = json!({"query": "", "extensions": extensions});
        for request in [register, named] {
            let response = method.execute(&app, &request).await;
            assert_eq!(response["data"], json!({"libraryVersion": 1}), "{method:?}");
        }
    }
}

#[tokio::test]
async fn only_trusted_documents_run_over_every_transport() {
    let manifest = NamedTempFile::new().unwrap();
    let trusted = "{ libraryVersion }";
    std::fs::write(manifest.path(), json!({"v": trusted}).to_string()).unwrap();
    let path = manifest.path().to_str().unwrap();
    let flags = ["--trusted-documents", path, "--only-trusted-documents"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    for method in Method::ALL
        .into_iter()
        .filter(|method| *method != Method::Persisted)
    {
        for request in [
            json!({"query": trusted}),
            json!({"query": "", "extensions": persisted("v")}),
        ] {
            let response = method.execute(&app, &request).await;
            assert_eq!(
                response["data"],
                json!({"libraryVersion": 1}),
                "{method:?} {request}"
            );
        }
        let other = "subscription { libraryVersion }";
        for request in [
            json!({"query": other}),
            json!({"query": format!("{trusted} ")}),
            json!({"query": other, "extensions": persisted(&hash(other))}),
        ] {
            let response = method.execute(&app, &request).await;
            assert_eq!(
                code(&response),
                "DOCUMENT_NOT_TRUSTED",
                "{method:?} {request}"
            );
        }
    }
}

#[tokio::test]
async fn executed_operations_return_the_version_and_refused_ones_do_not() {
    let app = TestApp::start(Db::Sqlite).await;
    app.user("ann").add("A").await;
    let head = app.user("ann").head().await;
    for method in Method::ALL {
        for (query, is_run) in [
            ("{ viewer { id } }", true),
            ("{ progress(id: \"x\") { id } }", true),
            ("{ nope }", false),
            ("{", false),
            ("subscription { v: libraryVersion }", method.is_stream()),
            (
                "subscription { libraryEvents { kind } }",
                method.is_stream(),
            ),
        ] {
            let response = method.execute(&app, &json!({"query": query})).await;
            let extensions = response.get("extensions");
            let version = extensions.map(|extensions| extensions["libraryVersion"].clone());
            assert_eq!(version, is_run.then(|| json!(2)), "{method:?} {query}");
            // `Socket` removes it from messages, because other tests compare them whole.
            if let Some(returned) = extensions.and_then(|extensions| extensions.get("libraryHead"))
            {
                assert_eq!(returned, &head, "{method:?} {query}");
            }
        }
    }
}

#[tokio::test]
async fn a_mutation_that_is_selected_twice_runs_once() {
    let app = TestApp::start(Db::Sqlite).await;
    let mutation = |name: &str| {
        let create = format!("createTag(input: {{name: \"{name}\"}})");
        format!(
            "mutation {{ {create} {{ libraryVersion }} ... on Mutation {{ {create} {{ refusal {{ code }} }} }} }}"
        )
    };
    let mut version = 1;
    for method in Method::ALL.into_iter().filter(|method| !method.is_get()) {
        if method == Method::Persisted {
            continue;
        }
        version += 1;
        let response = method
            .execute(&app, &json!({"query": mutation(&format!("{method:?}"))}))
            .await;
        let made = json!({"libraryVersion": version, "refusal": null});
        assert_eq!(
            response["data"],
            json!({"createTag": made}),
            "{method:?} {response}"
        );
    }
}
