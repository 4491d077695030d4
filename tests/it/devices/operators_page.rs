//! The operator's page: who may use it, what it shows, and what it does to a user.

use std::{fs, time::Duration};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    devices::{check, device},
    push::fake_push_service::{FakePushService, REGISTER, input, start},
    support::{
        test_app::{
            DEADLINE, TestApp, TestDatabase, TestProcess, error_code, on_each_database, repository,
            soon, token,
        },
        transport::{StreamItem, Transport},
    },
};

const TOKEN: &str = "an-operators-token-of-32-characters";

const FLAGS: [&str; 2] = ["--admin-token", TOKEN];

const PAGE: [&str; 7] = [
    "/admin",
    "/admin/assets/admin.css",
    "/admin/assets/admin.js",
    "/admin/assets/node_view.js",
    "/admin/assets/session.js",
    "/admin/assets/tables.js",
    "/admin/assets/user_view.js",
];

const API: [(Method, &str); 6] = [
    (Method::GET, "/admin/api/node"),
    (Method::GET, "/admin/api/events"),
    (Method::POST, "/admin/api/user"),
    (Method::POST, "/admin/api/user/end-streams"),
    (Method::POST, "/admin/api/user/sign-out-everywhere"),
    (Method::POST, "/admin/api/user/new-epoch"),
];

fn everything() -> Vec<(Method, &'static str)> {
    let page = PAGE.map(|path| (Method::GET, path));
    page.into_iter().chain(API).collect()
}

/// Requests a route for a user and a device, with these headers.
async fn request(app: &TestApp, route: &(Method, &str), headers: &[(&str, &str)]) -> Response {
    let (method, path) = route;
    let mut request = app.http.request(method.clone(), app.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if *method == Method::POST {
        let mut body = json!({"sub": "ann"});
        if path.ends_with("end-streams") {
            body["device"] = json!("phone");
        }
        request = request.json(&body);
    }
    soon("a response", request.send()).await.unwrap()
}

async fn body(response: Response) -> Value {
    soon("the body", response.json()).await.unwrap()
}

/// Sends a request of an operator. Returns the status and the body.
async fn post(app: &TestApp, path: &str, body: Value) -> (u16, Value) {
    let request = app.http.post(app.url(path)).bearer_auth(TOKEN).json(&body);
    let response = soon("a response", request.send()).await.unwrap();
    let status = response.status().as_u16();
    (status, self::body(response).await)
}

/// Events of an operator's stream.
struct AdminEvents {
    response: Response,
    text: String,
}

impl AdminEvents {
    async fn open(app: &TestApp) -> Self {
        let response = request(
            app,
            &API[1],
            &[("authorization", &format!("Bearer {TOKEN}"))],
        )
        .await;
        assert_eq!(response.status(), 200);
        let text = String::new();
        Self { response, text }
    }

    /// The next event of this name.
    async fn next(&mut self, name: &str) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (head, data) = event.split_once("\ndata: ").unwrap();
                let data = (head == format!("event: {name}")).then(|| data.to_owned());
                self.text = rest.to_owned();
                match data {
                    Some(data) => return serde_json::from_str(&data).unwrap(),
                    None => continue,
                }
            }
            let chunk = soon("an event", self.response.chunk()).await.unwrap();
            let chunk = chunk.expect("the stream is open");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn sample(report: &Value, name: &str) -> f64 {
    let samples = report["samples"].as_array().unwrap().iter();
    let of_name = samples.filter(|sample| sample["name"] == name);
    of_name.filter_map(|sample| sample["value"].as_f64()).sum()
}

#[tokio::test]
async fn without_a_token_of_operators_there_is_no_page() {
    let app = TestApp::start(crate::support::test_app::Db::Sqlite).await;
    for route in everything() {
        let response = request(
            &app,
            &route,
            &[("authorization", &format!("Bearer {TOKEN}"))],
        )
        .await;
        assert_eq!(response.status(), 404, "{route:?}");
        assert_eq!(
            error_code(&body(response).await),
            "ROUTE_NOT_FOUND",
            "{route:?}"
        );
    }
}

#[tokio::test]
async fn a_token_of_operators_that_can_be_guessed_stops_the_start() {
    let db = TestDatabase::new(crate::support::test_app::Db::Sqlite).await;
    for short in ["", &TOKEN[..31], &TOKEN.replace('-', " ")] {
        let error = TestApp::start_error(&db.url, &["--admin-token", short]).await;
        let expected = "--admin-token (LIBRARY_SYNC_ADMIN_TOKEN): must be 32 to 1024 ";
        assert!(error.starts_with(expected), "{error}");
        assert!(short.is_empty() || !error.contains(short), "{error}");
    }
}

#[tokio::test]
async fn with_a_listener_for_operators_the_page_is_on_that_only() {
    let flags = [&FLAGS[..], &["--ops-listen", "127.0.0.1:0"]].concat();
    let app = TestApp::start_with(crate::support::test_app::Db::Sqlite, &flags).await;
    for (method, path) in everything() {
        let response = request(&app, &(method.clone(), path), &[]).await;
        assert_eq!(response.status(), 404, "{path}");
        let url = format!("http://{}{path}", app.ops.unwrap());
        let response = app.http.request(method, url).send().await.unwrap();
        let expected = if path.contains("/api/") { 401 } else { 200 };
        assert_eq!(response.status(), expected, "{path}");
    }
}

#[tokio::test]
async fn every_answer_forbids_caches_frames_inline_scripts_and_other_hosts() {
    let app = TestApp::start_with(crate::support::test_app::Db::Sqlite, &FLAGS).await;
    for route in everything() {
        let response = request(&app, &route, &[]).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert!(header("cache-control").contains("no-store"), "{route:?}");
        let policy = header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(directive), "{route:?}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
        assert!(!response.headers().contains_key("set-cookie"));
        if PAGE.contains(&route.1) {
            assert_eq!(response.status(), 200, "{route:?}");
            let text = response.text().await.unwrap();
            assert!(
                !text.contains("http:") && !text.contains("https:"),
                "{route:?}"
            );
        }
    }
    // Each file of the folder is served.
    let folder = repository().join("src/http/routes/admin/assets");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    files.retain(|file| file != "index.html");
    assert_eq!(files.len(), PAGE.len() - 1, "{files:?}");
}

#[tokio::test]
async fn wrong_tokens_of_operators_share_the_rate_limit_of_their_address() {
    let flags = [&FLAGS[..], &["--max-address-rate", "1"]].concat();
    let app = TestApp::start_with(crate::support::test_app::Db::Sqlite, &flags).await;
    let mut statuses = Vec::new();
    for _ in 0..15 {
        let wrong = [("authorization", "Bearer wrong")];
        statuses.push(request(&app, &API[0], &wrong).await.status().as_u16());
    }
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[14], 429, "{statuses:?}");
}

#[tokio::test]
async fn streams_of_operators_are_limited_and_end_when_the_node_stops() {
    let flags = [&FLAGS[..], &["--shutdown-grace", "5m"]].concat();
    let mut app = TestApp::start_with(crate::support::test_app::Db::Sqlite, &flags).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(AdminEvents::open(&app).await);
    }
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer)];
    assert_eq!(request(&app, &API[1], &headers).await.status(), 503);
    open.pop();
    let released = async {
        while request(&app, &API[1], &headers).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the place of a closed stream is free", released).await;
    app.stop().await;
    for mut events in open {
        let ended = async { while let Ok(Some(_)) = events.response.chunk().await {} };
        soon("the stream ends", ended).await;
    }
}

on_each_database! {
    async fn a_wrong_token_of_operators_is_refused_without_detail_and_changes_nothing(db: Db) {
        let app = TestApp::start_with(db, &FLAGS).await;
        let ann = app.user("ann");
        let head = ann.head().await;
        check(&app, &ann.token, &[("x-device-id", "phone"), ("x-library-applied", &head)]).await;
        let (of_user, basic) = (format!("Bearer {}", token("ann")), format!("Basic {TOKEN}"));
        let (almost, cookie) = (format!("Bearer {TOKEN}x"), format!("session={TOKEN}; token={TOKEN}"));
        for headers in [
            &[][..],
            &[("authorization", "Bearer wrong")],
            &[("authorization", &almost)],
            &[("authorization", &of_user)],
            &[("authorization", &basic)],
            &[("cookie", &cookie)],
        ] {
            for route in API {
                let response = request(&app, &route, headers).await;
                assert_eq!(response.status(), 401, "{route:?} {headers:?}");
                assert_eq!(response.headers()["www-authenticate"], "Bearer");
                let message = "the token of operators is missing or rejected; send it as `Authorization: Bearer`";
                let extensions = json!({"code": "UNAUTHENTICATED"});
                let expected = json!({"errors": [{"message": message, "extensions": extensions}]});
                assert_eq!(body(response).await, expected, "{route:?} {headers:?}");
            }
        }
        for query in ["token", "ticket", "access_token"] {
            let path = format!("/admin/api/node?{query}={TOKEN}");
            assert_eq!(request(&app, &(Method::GET, &path), &[]).await.status(), 401);
        }
        // Nobody was signed out, and no epoch has begun.
        assert_eq!(ann.head().await, head);
        // It is not a token of a user either.
        assert_eq!(check(&app, TOKEN, &[]).await, 401);
    }

    async fn an_operator_sees_the_devices_and_writes_of_a_user_and_nothing_they_contain(db: Db) {
        let service = FakePushService::start().await;
        let flags = [&FLAGS[..], &["--node-name", "one"]].concat();
        let app = start(TestDatabase::new(db).await, &service, &flags).await;
        let ann = app.user("ann");
        let base = ann.head().await;
        let story = json!({
            "title": "Marked title", "url": "https://marked.example/1", "author": "Marked author",
            "notes": "Marked notes", "device": {"id": "phone", "name": "Phone"},
        });
        ann.create_story(story).await;
        let one = service.subscribe("marked");
        ann.ask(REGISTER, json!({"input": input(&one, "phone", "HOURLY")})).await;
        let reported = [
            ("x-device-id", "phone"),
            ("x-library-applied", &*base),
            ("x-library-pending", "2;1763809200000;UNAVAILABLE"),
            ("x-library-client", "my-app/2.1"),
        ];
        check(&app, &ann.token, &reported).await;
        let bearer = format!("Bearer {}", ann.token);
        let mut stream = Transport::Sse.open_with(&app, "?device=phone", &[("Authorization", &bearer)]).await.unwrap();
        stream.next().await;

        let (status, user) = post(&app, "/admin/api/user", json!({"sub": "ann"})).await;
        assert_eq!(status, 200, "{user}");
        let head = ann.head().await;
        assert_eq!((&user["sub"], &user["head"]), (&json!("ann"), &json!(head)));
        let phone = &user["devices"][0];
        for (member, value) in [
            ("id", json!("phone")),
            ("name", json!("Phone")),
            ("client", json!("my-app/2.1")),
            ("applied", json!(base)),
            ("behind", json!(1)),
            ("pending", json!({"count": 2, "oldestAt": "2025-11-22T11:00:00Z", "error": "UNAVAILABLE"})),
            ("verdict", json!("BEHIND_CONNECTED")),
            ("push", json!({"pace": "hourly", "sentAt": null, "failingSince": null})),
        ] {
            assert_eq!(phone[member], value, "{member}: {phone}");
        }
        assert_eq!((&phone["streams"][0]["transport"], &phone["streams"][0]["node"]), (&json!("sse"), &json!("one")));
        assert!(phone["advice"].as_str().unwrap().starts_with("wait a moment"), "{phone}");
        // The verdict is the one that the user sees.
        assert_eq!(device(&ann, "phone").await["verdict"], phone["verdict"]);
        let write = &user["writes"][0];
        assert_eq!((&write["version"], &write["device"]), (&json!(2), &json!("Phone")));
        assert_eq!(write["kinds"], json!(["Story", "Progress"]), "{write}");

        let mut events = AdminEvents::open(&app).await;
        let shown = [user, events.next("node").await, events.next("nodes").await].map(|shown| shown.to_string());
        for shown in shown {
            let secrets = ["arked", TOKEN, &ann.token, &one.p256dh, &one.auth, &service_address(&one.endpoint)];
            for secret in secrets {
                assert!(!shown.contains(secret), "{secret}: {shown}");
            }
        }
    }

    async fn a_user_or_device_that_does_not_exist_is_not_found_and_not_created(db: Db) {
        let app = TestApp::start_with(db, &FLAGS).await;
        app.user("ann").version().await;
        for (path, sub) in [
            ("/admin/api/user", "bob"),
            ("/admin/api/user/sign-out-everywhere", "bob"),
            ("/admin/api/user/new-epoch", "bob"),
        ] {
            let (status, answer) = post(&app, path, json!({"sub": sub})).await;
            assert_eq!((status, error_code(&answer)), (404, &json!("NOT_FOUND")), "{path}");
        }
        let (status, _) = post(&app, "/admin/api/user/end-streams", json!({"sub": "ann", "device": "x"})).await;
        assert_eq!(status, 404);
        let users: i64 = app.db.scalar("SELECT count(*) FROM topaz_user").await;
        assert_eq!(users, 1);
        for (path, wrong) in [
            ("/admin/api/user", json!({"sub": ""})),
            ("/admin/api/user", json!({"sub": "a\nb"})),
            ("/admin/api/user", json!({})),
            ("/admin/api/user", json!([])),
            ("/admin/api/user", json!({"sub": "ann", "all": true})),
            ("/admin/api/user/new-epoch", json!({"sub": "ann", "device": "phone"})),
            ("/admin/api/user/end-streams", json!({"sub": "ann"})),
            ("/admin/api/user/end-streams", json!({"sub": "ann", "device": ""})),
        ] {
            let (status, answer) = post(&app, path, wrong.clone()).await;
            assert_eq!((status, error_code(&answer)), (400, &json!("BAD_REQUEST")), "{path} {wrong}");
        }
        let get = app.http.get(app.url("/admin/api/user")).bearer_auth(TOKEN).send();
        let get = soon("a response", get).await.unwrap();
        assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "POST"));
    }

    async fn an_operator_ends_the_streams_of_a_device_on_every_node(db: Db) {
        let flags = [&FLAGS[..], &["--heartbeat", "1s", "--device-interval", "0s"]].concat();
        let one = TestApp::start_with(db, &flags).await;
        let two = TestApp::start_on(one.db.shared(), &flags).await;
        let bearer = format!("Bearer {}", one.user("ann").token);
        let mut open = Vec::new();
        for (app, device) in [(&one, "tablet"), (&two, "tablet"), (&two, "phone")] {
            let device = format!("?device={device}");
            let mut stream = Transport::Multipart.open_with(app, &device, &[("Authorization", &bearer)]).await.unwrap();
            stream.next().await;
            open.push(stream);
        }
        let named = json!({"sub": "ann", "device": "tablet"});
        let (status, answer) = post(&one, "/admin/api/user/end-streams", named).await;
        assert_eq!((status, answer), (200, json!({"device": "tablet"})));
        let mut phone = open.pop().unwrap();
        for mut stream in open {
            assert_eq!(stream.next().await, StreamItem::End("STREAM_ENDED".to_owned()));
        }
        one.user("ann").create_tag("a").await;
        assert_eq!(phone.next().await, StreamItem::Version(2), "another device keeps its stream");
    }

    async fn an_operator_signs_a_user_out_on_every_node(db: Db) {
        let flags = [&FLAGS[..], &["--heartbeat", "1s"]].concat();
        let one = TestApp::start_with(db, &flags).await;
        let two = TestApp::start_on(one.db.shared(), &flags).await;
        let (ann, bob) = (one.user("ann"), one.user("bob"));
        let mut stream = Transport::Sse.open(&two, &ann.token).await.unwrap();
        stream.next().await;
        bob.version().await;
        let (status, answer) = post(&one, "/admin/api/user/sign-out-everywhere", json!({"sub": "ann"})).await;
        assert_eq!(status, 200);
        assert!(answer["signedOutAt"].is_string(), "{answer}");
        assert_eq!(stream.next().await, StreamItem::End("SIGNED_OUT".to_owned()));
        for app in [&one, &two] {
            assert_eq!(check(app, &ann.token, &[]).await, 401);
            assert_eq!(check(app, &bob.token, &[]).await, 200);
        }
    }

    async fn an_epoch_that_an_operator_begins_reaches_open_streams_at_once(db: Db) {
        let flags = [&FLAGS[..], &["--heartbeat", "1h"]].concat();
        let app = TestApp::start_with(db, &flags).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let (before, of_bob) = (ann.head().await, bob.head().await);
        let mut stream = Transport::Events.open(&app, &ann.token).await.unwrap();
        assert_eq!(stream.next().await, StreamItem::Version(1));
        let (status, answer) = post(&app, "/admin/api/user/new-epoch", json!({"sub": "ann"})).await;
        assert_eq!(status, 200);
        assert_eq!(stream.next().await, StreamItem::Version(1), "the same version of the new epoch");
        let after = ann.head().await;
        assert_eq!(answer, json!({"head": after}));
        assert_ne!(after, before);
        assert_eq!(bob.head().await, of_bob);
    }

    async fn the_page_is_live_and_lists_the_nodes_of_the_database(db: Db) {
        let flags = |name| [&FLAGS[..], &["--node-name", name, "--device-interval", "0s"]].concat();
        let one = TestApp::start_with(db, &flags("one")).await;
        let two = TestApp::start_on(one.db.shared(), &flags("two")).await;
        let ann = two.user("ann");
        let bearer = format!("Bearer {}", ann.token);
        let mut stream = Transport::Sse.open_with(&two, "?device=phone", &[("Authorization", &bearer)]).await.unwrap();
        stream.next().await;
        let mut events = AdminEvents::open(&one).await;
        let first = events.next("node").await;
        assert_eq!((&first["node"], &first["version"]), (&json!("one"), &json!(env!("CARGO_PKG_VERSION"))));
        ann.create_tag("a").await;
        assert_eq!(stream.next().await, StreamItem::Version(2));
        let changed = async {
            loop {
                let next = events.next("node").await;
                let grown = |name| sample(&next, name) > sample(&first, name);
                // The metrics of a process: those of other tests count too.
                if grown("library_sync_changes_total") && grown("library_sync_commit_to_event_seconds_count") {
                    return sample(&next, "library_sync_streams");
                }
            }
        };
        assert!(soon("a change is counted", changed).await >= 1.0);
        let listed = async {
            loop {
                let mut nodes = AdminEvents::open(&one).await.next("nodes").await;
                let nodes = nodes["nodes"].take();
                let nodes: Vec<_> = nodes.as_array().unwrap().iter().map(|node| {
                    assert!(node["startedAt"].is_string());
                    (node["name"].clone(), node["isThis"].clone(), node["streams"].clone())
                }).collect();
                let expected = [(json!("one"), json!(true), json!(0)), (json!("two"), json!(false), json!(1))];
                if nodes == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        soon("both nodes are listed", listed).await;
    }
}

/// The part of an endpoint's address that identifies it.
fn service_address(endpoint: &str) -> String {
    endpoint.split_once("://").unwrap().1.to_owned()
}

#[tokio::test]
async fn each_action_of_an_operator_is_logged_with_the_user_and_without_a_secret() {
    let folder = tempfile::TempDir::new().unwrap();
    let (log, db) = (
        folder.path().join("log"),
        TestDatabase::new(crate::support::test_app::Db::Sqlite).await,
    );
    let flags = [&FLAGS[..], &["--log", "trace", "--log-format", "json"]].concat();
    let file = fs::File::create(&log).unwrap();
    let server = TestProcess::serve_logging(&db.url, &flags, file.into()).await;
    let tag = "mutation { createTag(input: {name: \"Marked\", device: {id: \"phone\"}}) { libraryVersion } }";
    server.send("ann", tag, json!({})).await.unwrap();
    let http = crate::support::test_app::http_client();
    for path in ["", "/end-streams", "/new-epoch", "/sign-out-everywhere"] {
        let url = server.url(&format!("/admin/api/user{path}"));
        for token in [TOKEN, "a-wrong-token-that-nobody-may-read"] {
            let body = match path {
                "/end-streams" => json!({"sub": "ann", "device": "phone"}),
                _ => json!({"sub": "ann"}),
            };
            let sent = http.post(&url).bearer_auth(token).json(&body).send();
            let status = soon("a response", sent).await.unwrap().status();
            assert_eq!(status, if token == TOKEN { 200 } else { 401 }, "{path}");
        }
    }
    let text = tokio::time::timeout(DEADLINE, async {
        loop {
            let text = fs::read_to_string(&log).unwrap();
            if text.contains("sign_out_everywhere") {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let text = text.await.unwrap();
    let lines = text.lines().filter(|line| line.contains("admin.action"));
    let lines: Vec<_> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .collect();
    let actions: Vec<_> = lines
        .iter()
        .map(|line| line["admin.action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        ["look_up", "end_streams", "new_epoch", "sign_out_everywhere"]
    );
    for line in &lines {
        assert_eq!(
            (&line["user.id"], &line["level"]),
            (&json!("ann"), &json!("INFO")),
            "{line}"
        );
        assert!(line["span"]["request.id"].is_string(), "{line}");
    }
    for secret in [TOKEN, "a-wrong-token", &token("ann")] {
        assert!(!text.contains(secret), "{secret}");
    }
}
