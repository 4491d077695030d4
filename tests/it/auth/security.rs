//! Attacks other than forged tokens and floods: cross-origin pages, malformed bytes, and information leaks.

use std::{fs::File, process::Stdio};

use reqwest::{RequestBuilder, Response};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    support::socket::{LIBRARY_VERSION, Socket},
    support::test_app::{
        Db, SECRET, TestApp, TestDatabase, TestProcess, error_code, http_client, soon, token,
    },
    support::transport::{StreamItem, Transport},
};

const COOKIES: &[&str] = &[
    "--session-cookie",
    "session",
    "--allowed-origins",
    "https://app.example",
];

async fn send(request: RequestBuilder) -> Response {
    soon("a response", request.send()).await.unwrap()
}

async fn text(response: Response) -> String {
    soon("the body", response.text()).await.unwrap()
}

/// Sends exactly these bytes, and returns the response until it contains `enough` or the server closes the connection.
pub async fn raw(base: &str, request: &[u8], enough: &str) -> String {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&response).contains(enough)
            && matches!(stream.read_buf(&mut response).await, Ok(1..))
        {}
    };
    soon("a response", reading).await;
    String::from_utf8_lossy(&response).into_owned()
}

// ── pages of other origins ───────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_page_of_the_servers_own_origin_opens_every_stream_by_cookie() {
    let app = TestApp::start_with(Db::Sqlite, COOKIES).await;
    let cookie = format!("session={}", token("ann"));
    for transport in Transport::ALL {
        // The raw HTTP clients send `Host: localhost`.
        let own = match transport {
            Transport::Websocket => &app.base,
            _ => "http://localhost",
        };
        let headers = [("Cookie", cookie.as_str()), ("Origin", own)];
        let mut stream = transport.open_with(&app, "", &headers).await.unwrap();
        assert_eq!(stream.next().await, StreamItem::Version(1), "{transport}");
        let evil = format!("{own}.evil.example");
        let headers = [("Cookie", cookie.as_str()), ("Origin", &evil)];
        let refused = transport.open_with(&app, "", &headers).await;
        assert_eq!(refused.err().unwrap().status, 403, "{transport}");
    }
}

#[tokio::test]
async fn an_event_source_of_another_site_gets_no_graphql_by_cookie() {
    let app = TestApp::start_with(Db::Sqlite, COOKIES).await;
    let mut url = url::Url::parse(&app.url("/graphql")).unwrap();
    url.query_pairs_mut().append_pair("query", LIBRARY_VERSION);
    let open = |headers: &[(&str, &str)]| {
        let request = app
            .http
            .get(url.clone())
            .header("accept", "text/event-stream");
        let request = request.header("cookie", format!("session={}", token("ann")));
        headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        })
    };
    let refused: [&[_]; 6] = [
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[],
    ];
    for headers in refused {
        assert_eq!(send(open(headers)).await.status(), 403, "{headers:?}");
    }
    let admitted: [&[_]; 3] = [
        &[
            ("origin", "https://app.example"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("origin", app.base.as_str())],
        &[("sec-fetch-site", "same-origin")],
    ];
    for headers in admitted {
        assert_eq!(send(open(headers)).await.status(), 200, "{headers:?}");
    }
}

// ── malformed bytes ──────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn line_breaks_in_last_event_id_are_not_echoed_into_the_stream() {
    let app = TestApp::start(Db::Sqlite).await;
    for value in [
        "1.2\nretry: 0",
        "1.2\n\ndata: evil\n\n",
        "1.2\r\n data: evil",
        "1.2\rdata: evil",
        "1.2\0data: evil",
        "1.2\x0bdata: evil",
        "1.2\u{2028}data: evil",
        &"9".repeat(7_000),
        &format!("1.{}", "2".repeat(7_000)),
    ] {
        let request = format!(
            "GET /api/library-version-events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nLast-Event-ID: {value}\r\n\r\n",
            token("ann")
        );
        let response = raw(&app.base, request.as_bytes(), "}\n\n").await;
        assert!(!response.contains("evil"), "{value:?}: {response}");
        if response.starts_with("HTTP/1.1 400") {
            continue;
        }
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{value:?}: {response}");
        let (_, event) = body.split_once("\r\n").unwrap();
        let lines: Vec<_> = event.split('\n').collect();
        let [retry, id, data, "", ..] = lines[..] else {
            panic!("{value:?}: {event}")
        };
        assert!(
            retry.starts_with("retry: ") && retry != "retry: 0",
            "{event}"
        );
        assert!(id.starts_with("id: ") && id.ends_with(".1"), "{event}");
        assert!(data.starts_with(r#"data: {"type":"connected","#), "{event}");
    }
}

#[tokio::test]
async fn deeply_nested_json_is_refused_by_every_transport() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-batch", "2"]).await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = format!("{}1{}", open.repeat(2_000), close.repeat(2_000));
        for member in ["variables", "extensions", "query", "more"] {
            let request =
                format!(r#"{{"query":"{{ libraryVersion }}","{member}":{{"a":{nested}}}}}"#);
            for body in [request.clone(), format!("[{request}]"), nested.clone()] {
                for accept in [
                    "application/json",
                    "text/event-stream",
                    "multipart/mixed;subscriptionSpec=1.0",
                ] {
                    let post = app.http.post(app.url("/graphql")).bearer_auth(token("ann"));
                    let post = post
                        .header("content-type", "application/json")
                        .header("accept", accept);
                    assert_eq!(
                        send(post.body(body.clone())).await.status(),
                        400,
                        "{member} {accept}"
                    );
                }
            }
            let mut socket = Socket::of(&app, &token("ann")).await;
            let message = format!(r#"{{"type":"subscribe","id":"1","payload":{request}}}"#);
            socket.send_raw(message.into()).await;
            let error = socket.next().await;
            assert_eq!(
                (&error["type"], &error["id"]),
                (&json!("error"), &json!("1"))
            );
            let code = &error["payload"][0]["extensions"]["code"];
            assert_eq!(code, "BAD_REQUEST", "{member}");
        }
        for name in ["variables", "extensions"] {
            let mut url = url::Url::parse(&app.url("/graphql")).unwrap();
            url.query_pairs_mut()
                .append_pair("query", "{ libraryVersion }")
                .append_pair(name, &format!(r#"{{"a":{nested}}}"#));
            assert_eq!(
                send(app.http.get(url).bearer_auth(token("ann")))
                    .await
                    .status(),
                400
            );
        }
        let mut socket = Socket::open(&app).await;
        let init = format!(r#"{{"type":"connection_init","payload":{{"a":{nested}}}}}"#);
        socket.send_raw(init.into()).await;
        assert_eq!(socket.closed().await.0, 4400);
    }
    assert_eq!(app.user("ann").version().await, 1);
}

// ── information leaks ────────────────────────────────────────────────────────────────────────────────────────────────

/// A server process, and its log file.
async fn logging(db: &TestDatabase, flags: &[&str]) -> (TestProcess, tempfile::NamedTempFile) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let writer = Stdio::from(File::create(log.path()).unwrap());
    let server = TestProcess::serve_logging(&db.url, flags, writer).await;
    (server, log)
}

/// Asserts that a response reveals nothing of the database or the code.
fn assert_opaque(response: &str) {
    for inside in [
        "topaz", "SQL", "sql", "table", "no such", "Db", "::", "panicked", ".rs",
    ] {
        assert!(!response.contains(inside), "{response}");
    }
}

/// Stops the server, and asserts that its log has one line for each of these request ids, and
/// `all` lines of faults in total.
async fn assert_logged_once(
    mut server: TestProcess,
    log: &tempfile::NamedTempFile,
    ids: &[String],
    all: usize,
) {
    server.child.kill().unwrap();
    server.wait().await;
    let log = std::fs::read_to_string(log.path()).unwrap();
    let faults: Vec<_> = log
        .lines()
        .filter(|line| line.contains("no such table"))
        .collect();
    assert_eq!(faults.len(), all, "{log}");
    assert!(
        faults
            .iter()
            .all(|line| line.contains("ERROR") && line.contains("request.id")),
        "{log}"
    );
    for id in ids {
        let about = faults.iter().filter(|line| line.contains(id.as_str()));
        assert_eq!(about.count(), 1, "{id} in {log}");
    }
}

#[tokio::test]
async fn a_fault_of_an_operation_returns_only_an_id_and_is_logged_once_with_it() {
    let db = TestDatabase::new(Db::Sqlite).await;
    let (server, log) = logging(&db, &[]).await;
    let version = server
        .send("ann", "{ libraryVersion }", json!({}))
        .await
        .unwrap();
    assert_eq!(version["data"]["libraryVersion"], 1);
    let direct = db.connect().await;
    direct
        .execute_unprepared("ALTER TABLE topaz_tag RENAME TO gone")
        .await
        .unwrap();

    let http = http_client();
    let mut ids = Vec::new();
    let mut fault = |response: &Value| {
        let errors = response["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{response}"));
        assert_eq!(errors.len(), 1, "{response}");
        assert_opaque(&response.to_string());
        assert_eq!(
            errors[0]["extensions"]["code"], "INTERNAL_SERVER_ERROR",
            "{response}"
        );
        ids.push(
            errors[0]["extensions"]["requestId"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    };
    for query in [
        "{ tags { id } }",
        r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#,
    ] {
        for accept in [
            "application/json",
            "text/event-stream",
            "multipart/mixed;subscriptionSpec=1.0",
        ] {
            let request = http.post(server.url("/graphql")).bearer_auth(token("ann"));
            let response = send(
                request
                    .header("accept", accept)
                    .json(&json!({"query": query})),
            )
            .await;
            let own_id = response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned();
            let body = text(response).await;
            let json = body
                .lines()
                .find(|line| line.contains("requestId"))
                .unwrap();
            let mut response: Value =
                serde_json::from_str(json.trim_start_matches("data: ")).unwrap();
            if accept.starts_with("multipart") {
                response = response["payload"].take();
            }
            fault(&response);
            assert_eq!(
                response["errors"][0]["extensions"]["requestId"],
                own_id.as_str()
            );
        }
        let mut socket = Socket::at(&server.base).await;
        socket.init(&token("ann")).await;
        socket.subscribe("q", query).await;
        fault(&socket.next().await["payload"]);
    }
    assert_logged_once(server, &log, &ids, ids.len()).await;
}

#[tokio::test]
async fn a_fault_of_a_route_or_a_socket_is_opaque_and_logged_once_too() {
    let db = TestDatabase::new(Db::Sqlite).await;
    let (server, log) = logging(&db, &[]).await;
    let direct = db.connect().await;
    direct
        .execute_unprepared("ALTER TABLE topaz_user RENAME TO gone")
        .await
        .unwrap();
    let http = http_client();
    let mut ids = Vec::new();
    for path in [
        "/api/library-version",
        "/api/trpc/view.getVersion",
        "/api/library-version-events",
        "/graphql?query=%7B__typename%7D",
    ] {
        let response = send(http.get(server.url(path)).bearer_auth(token("ann"))).await;
        assert_eq!(response.status(), 500, "{path}");
        ids.push(
            response.headers()["x-request-id"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
        let body = text(response).await;
        assert!(body.contains("INTERNAL_SERVER_ERROR"), "{path}: {body}");
        assert_opaque(&body);
    }
    let mut socket = Socket::at(&server.base).await;
    let payload = json!({"Authorization": format!("Bearer {}", token("ann"))});
    socket
        .send(json!({"type": "connection_init", "payload": payload}))
        .await;
    let (code, reason) = socket.closed().await;
    assert_eq!(code, 1013);
    assert_opaque(&reason);
    // The client of the socket gets no id, but the log line has that of the upgrade.
    assert_logged_once(server, &log, &ids, ids.len() + 1).await;
}

#[tokio::test]
async fn no_log_holds_a_credential_or_what_a_user_wrote() {
    let db = TestDatabase::new(Db::Sqlite).await;
    let flags = [COOKIES, &["--log", "trace"]].concat();
    let (mut server, log) = logging(&db, &flags).await;
    let http = http_client();
    let ann = token("ann");
    let mut secrets = vec![SECRET.to_owned(), "a note of hers".to_owned(), ann.clone()];
    let mint = "mutation { createStreamTicket(input: {}) { ticket } }";

    let note =
        json!({"input": {"title": "A", "url": "https://example.org/a", "notes": "a note of hers"}});
    let create = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { progress { notes } } }";
    let created = server.send("ann", create, note).await.unwrap();
    assert_eq!(
        created["data"]["createStoryWithProgress"]["progress"]["notes"],
        "a note of hers"
    );
    let ticket = async || {
        let minted = server.send("ann", mint, json!({})).await.unwrap();
        minted["data"]["createStreamTicket"]["ticket"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (path, accept) in [
        ("/api/library-version-events", "*/*"),
        ("/graphql", "text/event-stream"),
    ] {
        let ticket = ticket().await;
        let url = format!("{}?ticket={ticket}", server.url(path));
        let request = if path == "/graphql" {
            http.post(url).json(&json!({"query": LIBRARY_VERSION}))
        } else {
            http.get(url)
        };
        let mut stream = send(request.header("accept", accept)).await;
        assert_eq!(stream.status(), 200, "{path}");
        soon("an event", stream.chunk()).await.unwrap().unwrap();
        secrets.push(ticket);
    }
    let cookie = http.get(server.url("/api/library-version"));
    let cookie = cookie
        .header("cookie", format!("session={ann}"))
        .header("origin", "https://app.example");
    assert_eq!(send(cookie).await.status(), 200);
    let mut socket = Socket::at(&server.base).await;
    socket.init(&ann).await;
    socket.subscribe("t", mint).await;
    let minted = socket.next().await;
    let by_socket = &minted["payload"]["data"]["createStreamTicket"]["ticket"];
    secrets.push(by_socket.as_str().unwrap().to_owned());
    // Fails in the database, in a statement with the whole row.
    let direct = db.connect().await;
    direct.execute_unprepared("CREATE TRIGGER t BEFORE UPDATE ON topaz_progress BEGIN SELECT RAISE(ABORT, 'broken'); END").await.unwrap();
    let id = server
        .send("ann", "{ progresses { nodes { id } } }", json!({}))
        .await
        .unwrap();
    let input = json!({"input": {"id": id["data"]["progresses"]["nodes"][0]["id"], "notes": "a note of hers, and more"}});
    let update = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { libraryVersion } }";
    let failed = server.send("ann", update, input).await.unwrap();
    assert_eq!(
        failed["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR",
        "{failed}"
    );

    server.child.kill().unwrap();
    server.wait().await;
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert!(
        log.contains("TRACE") && log.contains("http.route"),
        "the log has this level"
    );
    for secret in &secrets {
        let hex = |hex, byte| format!("{hex}{byte:02x}");
        let hex = secret.bytes().fold(String::new(), hex);
        for form in [secret, &hex] {
            let line = log.lines().find(|line| line.contains(form.as_str()));
            assert!(line.is_none(), "{secret} in {}", line.unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn without_introspection_no_error_reveals_the_schema() {
    let app = TestApp::start_with(Db::Sqlite, &["--no-introspection"]).await;
    let ann = app.user("ann");
    for query in [
        "{ __schema { types { name } } }",
        r#"{ __type(name: "Query") { name } }"#,
        "{ libraryVersio }",
        "{ progresses { nodes { nots } } }",
        "{ progresses(frist: 1) { totalCount } }",
        "mutation { createTag(input: {nme: \"a\"}) { libraryVersion } }",
        "mutation { createTag(input: {name: \"a\"}) { tg } }",
        "{ progresses(filter: {}) { nodes { story { titel } } } }",
        "fragment F on Progres { id } { ...F }",
        "subscription { libraryVersio }",
    ] {
        for accept in ["application/json", "text/event-stream"] {
            let request = app.http.post(app.url("/graphql")).bearer_auth(&ann.token);
            let response = text(
                send(
                    request
                        .header("accept", accept)
                        .json(&json!({"query": query})),
                )
                .await,
            )
            .await;
            assert!(
                response.contains("errors") && !response.contains("\"data\":{"),
                "{response}"
            );
            let reveals_schema = [
                "Did you mean",
                "libraryVersion",
                "\"types\"",
                "notes",
                "first",
                "title",
            ]
            .iter()
            .any(|name| response.contains(name));
            assert!(!reveals_schema, "{query}: {response}");
        }
    }
    let named = ann.ask("{ __typename }", json!({})).await;
    assert_eq!(named["__typename"], "Query");
}

#[tokio::test]
async fn the_playground_is_served_only_if_enabled() {
    for (flags, status) in [(&[][..], 404), (&["--playground"][..], 200)] {
        let app = TestApp::start_with(Db::Sqlite, flags).await;
        for path in ["/playground", "/playground/assets/app.js"] {
            assert_eq!(
                send(app.http.get(app.url(path))).await.status(),
                status,
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn every_response_has_nosniff_and_reveals_no_server_software() {
    let app = TestApp::start_with(Db::Sqlite, &["--playground", "--max-address-rate", "4"]).await;
    let mut statuses = std::collections::BTreeSet::new();
    let paths = [
        "/graphql",
        "/graphql?query=%7B__typename%7D",
        "/api/library-version",
        "/api/library-version-events",
        "/api/trpc/view.getVersion",
        "/healthz",
        "/readyz",
        "/metrics",
        "/playground",
        "/playground/assets/none",
        "/none",
        "/../etc/passwd",
    ];
    for path in paths.iter().cycle().take(100) {
        for request in [
            app.http.get(app.url(path)),
            app.http.put(app.url(path)).bearer_auth(token("ann")),
        ] {
            let response = send(request).await;
            statuses.insert(response.status().as_u16());
            let headers = response.headers();
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(headers["x-request-id"].len(), 36, "{path}");
            for header in ["server", "x-powered-by", "access-control-allow-origin"] {
                assert!(headers.get(header).is_none(), "{path}: {header}");
            }
            if *path == "/playground" && response.status() == 200 {
                let policy = headers["content-security-policy"].to_str().unwrap();
                assert!(
                    policy.contains("frame-ancestors 'none'")
                        && policy.contains("default-src 'none'")
                );
                assert_eq!(headers["referrer-policy"], "no-referrer");
            }
        }
    }
    assert_eq!(Vec::from_iter(statuses), [200, 401, 404, 405, 429]);
}

#[tokio::test]
async fn a_request_id_of_the_client_is_used_only_if_it_is_safe() {
    let app = TestApp::start(Db::Sqlite).await;
    for (given, taken) in [
        ("trace-1", true),
        ("a b", false),
        (&"a".repeat(65), false),
        ("\u{e9}", false),
    ] {
        let response = send(
            app.http
                .get(app.url("/healthz"))
                .header("x-request-id", given),
        )
        .await;
        assert_eq!(
            response.headers()["x-request-id"] == given,
            taken,
            "{given}"
        );
    }
}

#[tokio::test]
async fn every_refusal_has_a_code_and_405_lists_the_allowed_methods() {
    let app = TestApp::start_with(Db::Sqlite, &["--playground"]).await;
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let method = method.parse().unwrap();
        let mut request = app.http.request(method, app.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = soon("a response", request.send()).await.unwrap();
        let allow = response.headers().get("allow").cloned();
        let version = response.headers().get("sec-websocket-version").cloned();
        let status = response.status().as_u16();
        let body: Value = soon("a body", response.json()).await.unwrap();
        let code = error_code(&body).as_str().unwrap().to_owned();
        (status, code, allow, version)
    };
    for path in ["/", "/nothing", "/graphql/x", "/api/", "/playground/none"] {
        let (status, code, ..) = ask("GET", path, &[]).await;
        assert_eq!((status, &*code), (404, "ROUTE_NOT_FOUND"), "{path}");
    }
    for (path, allowed) in [
        ("/graphql", "GET, HEAD, POST"),
        ("/api/library-version", "GET, HEAD"),
        ("/api/library-version-events", "GET, HEAD"),
        ("/api/trpc/view.getVersion", "GET, HEAD"),
        ("/playground", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
    ] {
        for method in ["PUT", "DELETE", "PATCH"] {
            let (status, code, allow, _) = ask(method, path, &[]).await;
            assert_eq!((status, &*code), (405, "METHOD_NOT_ALLOWED"), "{path}");
            assert_eq!(allow.unwrap(), allowed, "{path}");
        }
    }
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let (status, code, allow, _) = ask("POST", "/graphql", &upgrade).await;
    assert_eq!((status, &*code), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(allow.unwrap(), "GET");
    let (status, code, ..) = ask("GET", "/graphql", &upgrade[..3]).await;
    assert_eq!((status, &*code), (400, "BAD_REQUEST"));
    let old = [
        &upgrade[..2],
        &[("sec-websocket-version", "8")],
        &upgrade[3..],
    ]
    .concat();
    let (status, code, _, version) = ask("GET", "/graphql", &old).await;
    assert_eq!((status, &*code), (426, "UPGRADE_REQUIRED"));
    assert_eq!(version.unwrap(), "13");
}
