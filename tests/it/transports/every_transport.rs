//! What GraphQL means does not depend on how it travels: each rule here is put to every transport.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::{
    support::socket::Socket,
    support::test_app::{Db, TestApp, soon, token},
};

/// A way for one operation to come and its answer to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
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

impl Via {
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

    /// What the server says first to a request.
    async fn ask(self, app: &TestApp, request: &Value) -> Value {
        let answer = async {
            match self {
                Self::Websocket => by_socket(app, request).await,
                Self::Persisted => {
                    let query = request["query"].as_str().unwrap();
                    let mut named = request.clone();
                    named["query"] = Value::Null;
                    named["extensions"] = persisted(&hash(query));
                    let answer = by_http(app, self, &named).await;
                    if answer.get("data").is_some() {
                        return answer;
                    }
                    assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND", "{answer}");
                    named["query"] = query.into();
                    by_http(app, self, &named).await
                }
                _ => by_http(app, self, request).await,
            }
        };
        soon("an answer", Box::pin(answer)).await
    }

    fn accept(self) -> &'static str {
        match self {
            Self::PostForLegacyClients => "application/json",
            Self::Sse | Self::SseByGet => "text/event-stream",
            // No plain form beside it, so that even one answer comes as parts.
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

fn code(answer: &Value) -> &str {
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    code.unwrap_or_else(|| panic!("{answer}"))
}

fn http(app: &TestApp, via: Via, request: &Value) -> RequestBuilder {
    let mut url = url::Url::parse(&app.url("/graphql")).unwrap();
    let builder = if via.is_get() {
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
        .header("accept", via.accept())
}

async fn by_http(app: &TestApp, via: Via, request: &Value) -> Value {
    let mut response = http(app, via, request).send().await.unwrap();
    let is_stream = response.headers()["content-type"].to_str().unwrap();
    let is_stream =
        is_stream.starts_with("text/event-stream") || is_stream.starts_with("multipart");
    let mut text = String::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.push_str(str::from_utf8(&chunk).unwrap());
        if is_stream && let Some(answer) = streamed(&text) {
            return answer;
        }
    }
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text:?}"))
}

/// The first answer in a stream, once it is there as a whole.
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
        // What is not run at all is told by another message.
        "error" => json!({"errors": message["payload"]}),
        _ => panic!("{message}"),
    }
}

#[tokio::test]
async fn queries_and_subscriptions_mean_the_same() {
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
        // An argument with a default takes it when its variable is omitted, and no otherwise.
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
        for via in Via::ALL {
            let answer = via.ask(&app, &request).await;
            if request["query"]
                .as_str()
                .unwrap()
                .starts_with("subscription")
                && !via.is_stream()
            {
                assert_eq!(code(&answer), "SUBSCRIPTION_NOT_SUPPORTED", "{via:?}");
                continue;
            }
            assert!(answer.get("errors").is_none(), "{via:?} {request} {answer}");
            assert_eq!(answer["data"], data, "{via:?} {request}");
        }
    }
}

#[tokio::test]
async fn a_field_that_fails_nulls_no_more_than_it_must() {
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
        for via in Via::ALL {
            let answer = via.ask(&app, &json!({"query": query})).await;
            assert_eq!(answer.get("data"), Some(&data), "{via:?}");
            assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
            assert_eq!(answer["errors"][0]["path"], path, "{via:?}");
            assert_eq!(code(&answer), "BAD_USER_INPUT");
            assert!(
                answer["errors"][0]["extensions"]["field"].is_string(),
                "{answer}"
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
        for via in Via::ALL {
            let answer = via.ask(&app, &request).await;
            assert_eq!(code(&answer), expected, "{via:?} {request}");
            assert!(answer.get("data").is_none(), "{via:?} {answer}");
        }
    }
}

#[tokio::test]
async fn what_would_exhaust_the_server_is_refused_at_every_entrance() {
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
        // Far below the longest document, so that nothing but its tokens speaks against it.
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
        for via in Via::ALL {
            // An address is not that long.
            if via.is_get() && query.len() > 16_000 {
                continue;
            }
            let answer = via.ask(&app, &json!({"query": query})).await;
            assert_eq!(code(&answer), "QUERY_TOO_COMPLEX", "{attack} {via:?}");
        }
        let batch = by_http(
            &app,
            Via::Post,
            &json!([{"query": "{ __typename }"}, {"query": query}]),
        )
        .await;
        assert_eq!(code(&batch[1]), "QUERY_TOO_COMPLEX", "{attack} in a batch");
    }
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn what_is_omitted_inside_an_input_is_left_alone_and_null_clears() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let update = "mutation ($id: ID!, $r: Float, $n: String, $c: Int) { updateProgress(input: {id: $id, rating: $r, notes: $n, currentChapter: $c}) { progress { rating notes currentChapter } } }";
    for via in Via::ALL.into_iter().filter(|via| !via.is_get()) {
        let url = format!("https://example.org/{via:?}");
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
            let answer = via
                .ask(&app, &json!({"query": update, "variables": all}))
                .await;
            let progress = &answer["data"]["updateProgress"]["progress"];
            let found = json!([
                progress["rating"],
                progress["notes"],
                progress["currentChapter"]
            ]);
            assert_eq!(found, expected, "{via:?} {variables} {answer}");
        }
    }
}

#[tokio::test]
async fn a_document_that_is_named_is_checked_as_one_that_is_sent() {
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(2_000), close.repeat(2_000));
        format!("{{ progress(id: {open}1{close}) {{ id }} }}")
    };
    let app = TestApp::start(Db::Sqlite).await;
    for via in Via::ALL.into_iter().filter(|via| *via != Via::Persisted) {
        for (query, expected) in [
            (nested("[", "]"), "QUERY_TOO_COMPLEX"),
            (nested("{a:", "}"), "QUERY_TOO_COMPLEX"),
            ("{ nope }".to_owned(), "GRAPHQL_VALIDATION_FAILED"),
        ] {
            let extensions = persisted(&hash(&query));
            let register = json!({"query": query, "extensions": extensions});
            assert_eq!(code(&via.ask(&app, &register).await), expected, "{via:?}");
            let named = json!({"query": "", "extensions": extensions});
            let answer = via.ask(&app, &named).await;
            assert_eq!(code(&answer), "PERSISTED_QUERY_NOT_FOUND", "{via:?}");
        }
        // A sound one is kept by whatever way it came, and does for every way.
        let query = format!("{{ libraryVersion }} # {via:?}");
        let extensions = persisted(&hash(&query));
        let register = json!({"query": query, "extensions": extensions});
        let named = json!({"query": "", "extensions": extensions});
        for request in [register, named] {
            let answer = via.ask(&app, &request).await;
            assert_eq!(answer["data"], json!({"libraryVersion": 1}), "{via:?}");
        }
    }
}

#[tokio::test]
async fn a_server_told_to_runs_only_what_it_trusts_however_it_comes() {
    let manifest = NamedTempFile::new().unwrap();
    let trusted = "{ libraryVersion }";
    std::fs::write(manifest.path(), json!({"v": trusted}).to_string()).unwrap();
    let path = manifest.path().to_str().unwrap();
    let flags = ["--trusted-documents", path, "--only-trusted-documents"];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    for via in Via::ALL.into_iter().filter(|via| *via != Via::Persisted) {
        for request in [
            json!({"query": trusted}),
            json!({"query": "", "extensions": persisted("v")}),
        ] {
            let answer = via.ask(&app, &request).await;
            assert_eq!(
                answer["data"],
                json!({"libraryVersion": 1}),
                "{via:?} {request}"
            );
        }
        let other = "subscription { libraryVersion }";
        for request in [
            json!({"query": other}),
            json!({"query": format!("{trusted} ")}),
            json!({"query": other, "extensions": persisted(&hash(other))}),
        ] {
            let answer = via.ask(&app, &request).await;
            assert_eq!(code(&answer), "DOCUMENT_NOT_TRUSTED", "{via:?} {request}");
        }
    }
}

#[tokio::test]
async fn what_is_run_says_its_version_and_what_is_not_says_none() {
    let app = TestApp::start(Db::Sqlite).await;
    app.user("ann").add("A").await;
    let head = app.user("ann").head().await;
    for via in Via::ALL {
        for (query, is_run) in [
            ("{ viewer { id } }", true),
            ("{ progress(id: \"x\") { id } }", true),
            ("{ nope }", false),
            ("{", false),
            ("subscription { v: libraryVersion }", via.is_stream()),
            ("subscription { libraryEvents { kind } }", via.is_stream()),
        ] {
            let answer = via.ask(&app, &json!({"query": query})).await;
            let said = answer.get("extensions");
            let version = said.map(|said| said["libraryVersion"].clone());
            assert_eq!(version, is_run.then(|| json!(2)), "{via:?} {query}");
            // The messages of a socket come without it here, for other tests compare them whole.
            if let Some(told) = said.and_then(|said| said.get("libraryHead")) {
                assert_eq!(told, &head, "{via:?} {query}");
            }
        }
    }
}

#[tokio::test]
async fn a_mutation_is_made_once_where_it_is_selected_twice() {
    let app = TestApp::start(Db::Sqlite).await;
    let mutation = |name: &str| {
        let create = format!("createTag(input: {{name: \"{name}\"}})");
        format!(
            "mutation {{ {create} {{ libraryVersion }} ... on Mutation {{ {create} {{ refusal {{ code }} }} }} }}"
        )
    };
    let mut version = 1;
    for via in Via::ALL.into_iter().filter(|via| !via.is_get()) {
        if via == Via::Persisted {
            continue;
        }
        version += 1;
        let answer = via
            .ask(&app, &json!({"query": mutation(&format!("{via:?}"))}))
            .await;
        let made = json!({"libraryVersion": version, "refusal": null});
        assert_eq!(
            answer["data"],
            json!({"createTag": made}),
            "{via:?} {answer}"
        );
    }
}
