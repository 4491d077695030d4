//! GraphQL over WebSocket: each rule of its PROTOCOL.md, and the additions of this server.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    self, Message,
    client::ClientRequestBuilder,
    protocol::frame::{
        Frame,
        coding::{Data as OpData, OpCode},
    },
};

use crate::{
    support::socket::{LIBRARY_VERSION, Socket, version},
    support::test_app::{Db, TestApp, on_each_database, soon, token, token_for},
};

const TAG: &str = r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#;

async fn app(flags: &[&str]) -> TestApp {
    TestApp::start_with(Db::Sqlite, flags).await
}

const COOKIES: &[&str] = &[
    "--session-cookie",
    "session",
    "--allowed-origins",
    "https://app.example",
];

/// The HTTP status of a refused upgrade.
fn status(refused: Result<Socket, tungstenite::Error>) -> u16 {
    match refused {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the socket opened"),
    }
}

on_each_database! {
    async fn a_subscription_sends_the_current_version_and_then_each_newer_one(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        ann.add("A").await;
        let mut socket = Socket::of(&app, &token("ann")).await;
        socket.subscribe("s", LIBRARY_VERSION).await;
        assert_eq!(socket.next().await, version("s", 2));
        app.user("bob").add("B").await;
        ann.add("C").await;
        assert_eq!(socket.next().await, version("s", 3));
        socket.assert_no_message().await;
    }

    async fn queries_and_mutations_get_one_result_and_complete(db: Db) {
        let app = TestApp::start(db).await;
        let mut socket = Socket::of(&app, &token("ann")).await;
        let mutation = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion tag { name } } }";
        socket.send(json!({"id": "m", "type": "subscribe", "payload":
            {"query": mutation, "operationName": null, "variables": {"name": "slow burn"}, "extensions": {}}})).await;
        let next = socket.next().await;
        assert_eq!(next["payload"]["data"]["createTag"], json!({"libraryVersion": 2, "tag": {"name": "slow burn"}}));
        assert_eq!(next["payload"]["extensions"]["libraryVersion"], 2);
        assert_eq!((&next["id"], &next["type"]), (&json!("m"), &json!("next")));
        assert_eq!(socket.next().await, json!({"id": "m", "type": "complete"}));

        socket.subscribe("q", "{ libraryVersion }").await;
        assert_eq!(socket.next().await["payload"]["data"], json!({"libraryVersion": 2}));
        assert_eq!(socket.next().await, json!({"id": "q", "type": "complete"}));
        socket.assert_no_message().await;
    }
}

// ── connection_init ──────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_token_is_read_from_the_payload_with_a_case_insensitive_key() {
    let app = app(&[]).await;
    for key in ["Authorization", "authorization"] {
        let mut socket = Socket::open(&app).await;
        let payload = json!({key: format!("Bearer {}", token("ann"))});
        socket
            .send(json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(socket.next().await["type"], "connection_ack", "{key}");
    }
}

#[tokio::test]
async fn a_token_is_read_from_the_header_or_the_cookie_of_the_upgrade() {
    let app = app(COOKIES).await;
    let bearer = format!("Bearer {}", token("ann"));
    let cookie = format!("session={}", token("ann"));
    for headers in [
        vec![("Authorization", bearer.as_str())],
        vec![("Cookie", &cookie), ("Origin", "https://app.example")],
        vec![("Cookie", &cookie), ("Origin", &app.base)],
    ] {
        let with = |request| {
            headers
                .iter()
                .fold(request, |r: ClientRequestBuilder, (k, v)| {
                    r.with_header(*k, *v)
                })
        };
        let mut socket = Socket::open_with(&app, "/graphql", with).await.unwrap();
        socket.send(json!({"type": "connection_init"})).await;
        assert_eq!(socket.next().await["type"], "connection_ack", "{headers:?}");
        socket.subscribe("q", "{ libraryVersion }").await;
        assert_eq!(socket.next().await["payload"]["data"]["libraryVersion"], 1);
    }
}

#[tokio::test]
async fn a_cookie_is_refused_when_another_site_opens_the_socket() {
    let app = app(COOKIES).await;
    let cookie = format!("session={}", token("ann"));
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let with = |request: ClientRequestBuilder| {
            let request = request.with_header("Cookie", &cookie);
            match origin {
                Some(origin) => request.with_header("Origin", origin),
                None => request,
            }
        };
        let refused = Socket::open_with(&app, "/graphql", with).await;
        assert_eq!(status(refused), 403, "{origin:?}");
    }
}

#[tokio::test]
async fn an_invalid_authorization_header_is_refused_at_the_upgrade() {
    let app = app(&[]).await;
    for authorization in ["Bearer x.y.z", "Basic YTpi", "Bearer"] {
        let refused = Socket::open_with(&app, "/graphql", |r| {
            r.with_header("Authorization", authorization)
        })
        .await;
        assert_eq!(status(refused), 401, "{authorization}");
    }
    let refused = Socket::open_with(&app, "/graphql?ticket=st_none", |r| r).await;
    assert_eq!(status(refused), 401);
}

#[tokio::test]
async fn an_unauthenticated_caller_is_closed_with_4403() {
    let app = app(COOKIES).await;
    let expired = token_for("ann", Duration::ZERO);
    let forged = format!("{}x", token("ann"));
    for payload in [
        Value::Null,
        json!({}),
        json!({"Authorization": null}),
        json!({"Authorization": 5}),
        json!({"Authorization": token("ann")}),
        json!({"Authorization": "Bearer "}),
        json!({"Authorization": format!("Bearer {forged}")}),
    ] {
        let mut socket = Socket::open(&app).await;
        socket
            .send(json!({"type": "connection_init", "payload": payload}))
            .await;
        assert_eq!(socket.closed().await.0, 4403, "{payload}");
    }

    // An expired cookie is reported by a close code, because browsers hide the status of an upgrade.
    let cookie = format!("session={forged}");
    let with = |r: ClientRequestBuilder| {
        r.with_header("Cookie", &cookie)
            .with_header("Origin", "https://app.example")
    };
    let mut socket = Socket::open_with(&app, "/graphql", with).await.unwrap();
    socket.send(json!({"type": "connection_init"})).await;
    assert_eq!(socket.closed().await.0, 4403);
    let mut socket = Socket::open_with(&app, "/graphql", with).await.unwrap();
    socket.init(&token("ann")).await;

    let app = self::app(&["--jwt-leeway", "0s"]).await;
    let mut socket = Socket::open(&app).await;
    let payload = json!({"Authorization": format!("Bearer {expired}")});
    socket
        .send(json!({"type": "connection_init", "payload": payload}))
        .await;
    assert_eq!(
        socket.closed().await,
        (4440, "the token has expired".to_owned())
    );
}

#[tokio::test]
async fn a_socket_without_connection_init_in_time_is_closed_with_4408() {
    let app = app(&["--init-timeout", "1s"]).await;
    let mut socket = Socket::open(&app).await;
    socket.send(json!({"type": "ping"})).await;
    assert_eq!(
        socket.next().await,
        json!({"type": "pong"}),
        "a ping does not count"
    );
    let closed = (4408, "Connection initialisation timeout".to_owned());
    assert_eq!(socket.closed().await, closed);
}

#[tokio::test]
async fn a_second_connection_init_is_closed_with_4429() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    socket.send(json!({"type": "connection_init"})).await;
    let closed = (4429, "Too many initialisation requests".to_owned());
    assert_eq!(socket.closed().await, closed);
}

#[tokio::test]
async fn an_operation_before_connection_ack_is_closed_with_4401() {
    let app = app(&[]).await;
    let with = |r: ClientRequestBuilder| {
        r.with_header("Authorization", format!("Bearer {}", token("ann")))
    };
    let mut socket = Socket::open_with(&app, "/graphql", with).await.unwrap();
    socket.subscribe("q", "{ libraryVersion }").await;
    assert_eq!(socket.closed().await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn a_client_without_our_subprotocol_is_closed_with_4406() {
    let app = app(&[]).await;
    let request = ClientRequestBuilder::new(app.ws_url("/graphql").parse().unwrap());
    let mut socket = Socket::open_raw(request).await.unwrap();
    let closed = (4406, "Subprotocol not acceptable".to_owned());
    assert_eq!(socket.closed().await, closed);
}

#[tokio::test]
async fn the_legacy_subprotocol_is_not_selected() {
    let app = app(&[]).await;
    let url = app.ws_url("/graphql");
    let offer = |protocols: &[&str]| {
        let request = ClientRequestBuilder::new(url.parse().unwrap());
        protocols
            .iter()
            .fold(request, |r, protocol| r.with_sub_protocol(*protocol))
    };
    // A client must fail the connection if none of its subprotocols was selected.
    let refused = Socket::open_raw(offer(&["graphql-ws"])).await;
    assert!(matches!(refused, Err(tungstenite::Error::Protocol(_))));
    let mut socket = Socket::open_raw(offer(&["graphql-ws", "graphql-transport-ws"]))
        .await
        .unwrap();
    socket.init(&token("ann")).await;
}

// ── ping and pong ────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_ping_gets_a_pong_with_its_payload_at_any_time() {
    let app = app(&[]).await;
    let mut socket = Socket::open(&app).await;
    for authenticate in [false, true] {
        if authenticate {
            socket.init(&token("ann")).await;
        }
        socket.send(json!({"type": "ping"})).await;
        assert_eq!(socket.next().await, json!({"type": "pong"}));
        socket
            .send(json!({"type": "ping", "payload": {"a": [1]}}))
            .await;
        assert_eq!(
            socket.next().await,
            json!({"type": "pong", "payload": {"a": [1]}})
        );
        socket
            .send(json!({"type": "pong", "payload": {"unasked": true}}))
            .await;
        socket.assert_no_message().await;
    }
}

#[tokio::test]
async fn server_pings_carry_the_version() {
    let app = app(&["--heartbeat", "100ms"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for version in [1, 2] {
        let ping = json!({"type": "ping", "payload": {"libraryVersion": version}});
        while socket.next_with_pings().await.unwrap() != ping {
            socket.send(json!({"type": "pong"})).await;
        }
        app.user("ann").add("A").await;
    }
}

#[tokio::test]
async fn nothing_is_sent_before_connection_ack() {
    let app = app(&["--heartbeat", "100ms", "--init-timeout", "500ms"]).await;
    let mut socket = Socket::open(&app).await;
    let (code, _) = socket.next_with_pings().await.unwrap_err();
    assert_eq!(code, 4408);
}

#[tokio::test]
async fn a_silent_client_is_closed_with_a_code_after_which_it_reconnects() {
    let app = app(&["--heartbeat", "400ms"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    let mut pings = 0;
    let (code, _) = loop {
        match socket.next_with_pings().await {
            Ok(ping) => {
                assert_eq!(ping["type"], "ping");
                pings += 1;
            }
            Err(closed) => break closed,
        }
    };
    assert_eq!((code, pings), (4499, 2));
}

#[tokio::test]
async fn any_frame_counts_as_activity() {
    let app = app(&["--heartbeat", "300ms"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for frame in [
        Message::Pong(Vec::new().into()),
        Message::Ping(Vec::new().into()),
        Message::text(r#"{"type":"pong"}"#),
        Message::text(r#"{"type":"complete","id":"unknown"}"#),
    ] {
        for _ in 0..3 {
            while socket.next_with_pings().await.unwrap()["type"] != "ping" {}
            socket.send_raw(frame.clone()).await;
        }
    }
}

// ── operations ───────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_invalid_operation_gets_only_an_error() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for query in [
        "{",
        "{ nothing }",
        "subscription { nothing }",
        "query Q { libraryVersion(x: 1) }",
        "",
    ] {
        socket.subscribe("e", query).await;
        let error = socket.next().await;
        assert_eq!(
            (&error["id"], &error["type"]),
            (&json!("e"), &json!("error")),
            "{query}"
        );
        assert!(error["payload"][0]["message"].is_string(), "{error}");
        assert!(
            error["payload"][0]["extensions"]["code"].is_string(),
            "{error}"
        );
        socket.assert_no_message().await;
    }
}

#[tokio::test]
async fn a_field_error_is_part_of_a_result() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    socket
        .subscribe("q", r#"{ libraryVersion story(id: "none") { id } }"#)
        .await;
    let next = socket.next().await;
    assert_eq!(next["type"], "next");
    assert_eq!(
        next["payload"]["data"],
        json!({"libraryVersion": 1, "story": null})
    );
    assert_eq!(next["payload"]["errors"][0]["path"], json!(["story"]));
    assert_eq!(socket.next().await, json!({"id": "q", "type": "complete"}));
}

#[tokio::test]
async fn an_id_that_is_in_use_is_closed_with_4409() {
    let app = app(&[]).await;
    for query in [LIBRARY_VERSION, "{ libraryVersion }", "{"] {
        let mut socket = Socket::of(&app, &token("ann")).await;
        socket.subscribe("same", LIBRARY_VERSION).await;
        socket.subscribe("same", query).await;
        let closed = (4409, "Subscriber for same already exists".to_owned());
        assert_eq!(socket.closed().await, closed);
    }
    let mut socket = Socket::of(&app, &token("ann")).await;
    let long = "語".repeat(80);
    socket.subscribe(&long, LIBRARY_VERSION).await;
    socket.subscribe(&long, LIBRARY_VERSION).await;
    let (code, reason) = socket.closed().await;
    assert_eq!((code, reason.len() <= 123), (4409, true), "{reason}");
}

#[tokio::test]
async fn an_id_is_free_again_once_its_operation_has_ended() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for _ in 0..2 {
        socket.subscribe("a", "{ libraryVersion }").await;
        assert_eq!(socket.next().await["type"], "next");
        assert_eq!(socket.next().await["type"], "complete");
        socket.subscribe("a", "{").await;
        assert_eq!(socket.next().await["type"], "error");
        socket.subscribe("a", LIBRARY_VERSION).await;
        assert_eq!(socket.next().await, version("a", 1));
        socket.send(json!({"id": "a", "type": "complete"})).await;
    }
}

#[tokio::test]
async fn a_subscription_that_the_client_completes_sends_nothing_more() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for id in ["a", "b"] {
        socket.subscribe(id, LIBRARY_VERSION).await;
        assert_eq!(socket.next().await, version(id, 1));
    }
    socket.send(json!({"id": "a", "type": "complete"})).await;
    app.user("ann").add("A").await;
    assert_eq!(socket.next().await, version("b", 2));
    socket.assert_no_message().await;
}

#[tokio::test]
async fn a_query_that_the_client_completes_gets_no_result_even_in_flight() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for _ in 0..20 {
        // Both at once, so that the second arrives before the result of the first.
        socket
            .subscribe(
                "q",
                "mutation { createTag(input: {name: \"a\"}) { libraryVersion } }",
            )
            .await;
        socket.send(json!({"id": "q", "type": "complete"})).await;
        socket.send(json!({"type": "ping"})).await;
        let mut before = Vec::new();
        loop {
            match socket.next().await {
                pong if pong["type"] == "pong" => break,
                other => before.push(other["type"].clone()),
            }
        }
        // Either its result was sent before `complete` was read, or no result is sent.
        assert!(
            before.is_empty() || before == ["next", "complete"] || before == ["next"],
            "{before:?}"
        );
        socket.assert_no_message().await;
    }
}

#[tokio::test]
async fn messages_for_unknown_operations_are_ignored() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    socket.subscribe("q", "{ libraryVersion }").await;
    assert_eq!(socket.next().await["type"], "next");
    assert_eq!(socket.next().await["type"], "complete");
    for id in ["q", "never"] {
        socket.send(json!({"id": id, "type": "complete"})).await;
    }
    socket.assert_no_message().await;
}

#[tokio::test]
async fn an_operation_over_the_limit_is_refused_and_the_others_continue() {
    let app = app(&["--max-operations-per-socket", "2"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for id in ["a", "b"] {
        socket.subscribe(id, LIBRARY_VERSION).await;
        assert_eq!(socket.next().await, version(id, 1));
    }
    socket.subscribe("c", LIBRARY_VERSION).await;
    let error = socket.next().await;
    assert_eq!(
        (&error["id"], &error["type"]),
        (&json!("c"), &json!("error"))
    );
    assert_eq!(
        error["payload"][0]["extensions"]["code"],
        "TOO_MANY_OPERATIONS"
    );
    socket.send(json!({"id": "a", "type": "complete"})).await;
    socket.subscribe("c", LIBRARY_VERSION).await;
    assert_eq!(socket.next().await, version("c", 1));
    app.user("ann").add("A").await;
    let mut received = [socket.next().await, socket.next().await];
    received.sort_by_key(|message| message["id"].to_string());
    assert_eq!(received, [version("b", 2), version("c", 2)]);
}

#[tokio::test]
async fn a_started_mutation_completes_even_if_the_socket_closes() {
    let app = app(&[]).await;
    let ann = app.user("ann");
    let mut watch = ann.watch().await;
    for n in 0..20_u64 {
        let mut socket = Socket::of(&app, &token("ann")).await;
        let mutation =
            format!("mutation {{ createTag(input: {{name: \"{n}\"}}) {{ libraryVersion }} }}");
        socket.subscribe("m", &mutation).await;
        if n == 0 {
            // Its result confirms the change.
            assert_eq!(
                socket.next().await["payload"]["data"]["createTag"]["libraryVersion"],
                2
            );
        }
        // Each is dropped at another moment: before it starts, while it runs, after its end.
        tokio::time::sleep(Duration::from_micros(n * 750)).await;
        drop(socket);
    }
    // Completed changes are delivered: no later write could be delivered in their place.
    let receiving = async {
        let mut received = 1;
        while received < stored(&app).await {
            received = watch.next().await.unwrap()["version"].as_i64().unwrap();
        }
        received
    };
    let received = soon(
        "the last version is received long before the heartbeat",
        receiving,
    )
    .await;
    let rest = "SELECT library_version - (SELECT count(*) FROM topaz_tag) FROM topaz_user";
    assert_eq!(app.db.scalar::<i32>(rest).await, 1, "received {received}");
}

async fn stored(app: &TestApp) -> i64 {
    app.db
        .scalar::<i32>("SELECT library_version FROM topaz_user")
        .await
        .into()
}

// ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn an_invalid_client_message_is_closed_with_4400() {
    let app = app(&[]).await;
    for text in [
        "",
        "{",
        "null",
        "[]",
        r#""connection_init""#,
        r#"{"type":"start","id":"1"}"#,
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"next","id":"1","payload":{}}"#,
        r#"{"type":"ping","payload":"x"}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
        r#"{"type":"subscribe","id":1,"payload":{"query":"{a}"}}"#,
        r#"{"type":"subscribe","id":"1","payload":[]}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"connection_init","payload":{"a":1,"a":2}}"#,
        r#"{"type":"complete"}"#,
        &"[".repeat(10_000),
    ] {
        let mut authenticated = Socket::of(&app, &token("ann")).await;
        let mut fresh = Socket::open(&app).await;
        for socket in [&mut authenticated, &mut fresh] {
            socket.send_raw(Message::text(text)).await;
            let (code, reason) = socket.closed().await;
            assert_eq!(code, 4400, "{text:.80}");
            assert!(reason.starts_with("Invalid message"), "{reason}");
        }
    }
    let mut socket = Socket::open(&app).await;
    socket
        .send_raw(Message::binary(br#"{"type":"connection_init"}"#.to_vec()))
        .await;
    assert_eq!(socket.closed().await.0, 4400);
}

#[tokio::test]
async fn a_message_over_the_limit_is_closed_with_1009() {
    let app = app(&["--max-body", "10000"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    socket
        .send(json!({"type": "ping", "payload": {"a": "x".repeat(9_000)}}))
        .await;
    assert_eq!(socket.next().await["type"], "pong");
    socket
        .send(json!({"type": "ping", "payload": {"a": "x".repeat(20_000)}}))
        .await;
    assert_eq!(socket.closed().await.0, 1009);
}

#[tokio::test]
async fn a_message_far_over_the_limit_is_not_read_to_its_end() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    let huge = "x".repeat(50 << 20);
    socket.send_raw(Message::text(huge)).await;
    assert_eq!(socket.closed().await.0, 1009);

    // The code survives data that follows a frame with invalid UTF-8.
    let mut socket = Socket::of(&app, &token("ann")).await;
    let mut frame = Frame::message("x", OpCode::Data(OpData::Text), true);
    frame = Frame::from_payload(frame.header().clone(), vec![0xff; 100].into());
    socket.send_raw(Message::Frame(frame)).await;
    socket.send_raw(Message::text("x".repeat(900_000))).await;
    assert_eq!(socket.closed().await.0, 4400);
    Socket::of(&app, &token("ann"))
        .await
        .assert_no_message()
        .await;
}

#[tokio::test]
async fn a_deeply_nested_document_is_refused() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for (open, close) in [("[", "]"), ("{a:", "}"), ("{a", "}")] {
        let nested = format!("{}1{}", open.repeat(2000), close.repeat(2000));
        for operation in ["query", "subscription"] {
            let query = format!("{operation} {{ libraryVersion(x: {nested}) }}");
            socket.subscribe("deep", &query).await;
            let error = socket.next().await;
            assert_eq!(error["type"], "error");
            let code = &error["payload"][0]["extensions"]["code"];
            assert_eq!(code, "QUERY_TOO_COMPLEX", "{error}");
        }
    }
}

// ── limits and ends ──────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_socket_over_the_limit_gets_a_status_or_a_close_code_depending_on_its_token() {
    let app = app(&["--max-streams-per-user", "1"]).await;
    let with = |r: ClientRequestBuilder| {
        r.with_header("Authorization", format!("Bearer {}", token("ann")))
    };
    let first = Socket::open_with(&app, "/graphql", with).await.unwrap();
    assert_eq!(status(Socket::open_with(&app, "/graphql", with).await), 429);

    let mut second = Socket::open(&app).await;
    let payload = json!({"Authorization": format!("Bearer {}", token("ann"))});
    second
        .send(json!({"type": "connection_init", "payload": payload}))
        .await;
    // Not 4429, after which clients do not reconnect: the counted stream may be that of a device that lost its network.
    let closed = second.closed().await;
    assert_eq!(closed.0, 1013, "{closed:?}");
    Socket::of(&app, &token("bob")).await;

    drop(first);
    soon("a stream is free", async {
        while Socket::open_with(&app, "/graphql", with).await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn a_token_in_the_payload_overrides_that_of_the_upgrade() {
    let app = app(&["--max-streams-per-user", "1"]).await;
    let with = |r: ClientRequestBuilder| {
        r.with_header("Authorization", format!("Bearer {}", token("ann")))
    };
    let mut socket = Socket::open_with(&app, "/graphql", with).await.unwrap();
    socket.init(&token("bob")).await;
    app.user("bob").add("B").await;
    socket.subscribe("s", LIBRARY_VERSION).await;
    assert_eq!(socket.next().await, version("s", 2));
    // Ann's stream no longer counts.
    Socket::open_with(&app, "/graphql", with).await.unwrap();
}

#[tokio::test]
async fn a_socket_without_connection_init_does_not_delay_shutdown() {
    let mut app = app(&[
        "--init-timeout",
        "1h",
        "--drain-spread",
        "1h",
        "--shutdown-grace",
        "1h",
    ])
    .await;
    let mut socket = Socket::open(&app).await;
    socket.send(json!({"type": "ping"})).await;
    socket.next().await;
    app.begin_stop();
    assert_eq!(socket.closed().await.0, 1012);
    app.stop().await;
}

#[tokio::test]
async fn a_close_from_the_client_is_echoed_with_its_code() {
    let app = app(&[]).await;
    for authenticate in [false, true] {
        for (code, reason) in [(1000, "Normal Closure"), (4400, ""), (1001, "going away")] {
            let mut socket = Socket::open(&app).await;
            if authenticate {
                socket.init(&token("ann")).await;
                socket.subscribe("s", LIBRARY_VERSION).await;
                assert_eq!(socket.next().await, version("s", 1));
            }
            socket.close(code, reason).await;
            let closed = (code, reason.to_owned());
            assert_eq!(
                socket.closed().await,
                closed,
                "authenticated: {authenticate}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_over_the_message_rate_is_delayed_and_not_closed() {
    let app = app(&["--max-message-rate", "20"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    let began = Instant::now();
    // A burst of ten seconds, which includes `connection_init`, and two seconds more.
    for sent in 0..240 {
        match sent % 3 {
            0 => socket.send_raw(Message::Ping(Vec::new().into())).await,
            1 => socket.send(json!({"type": "pong"})).await,
            _ => socket.send(json!({"type": "complete", "id": "x"})).await,
        }
    }
    socket.assert_no_message().await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1900), "{took:?}");
    // Others do not wait for it.
    Socket::of(&app, &token("bob"))
        .await
        .assert_no_message()
        .await;
}

#[tokio::test]
async fn cancelled_and_refused_operations_count_towards_the_rate_limit() {
    let flags = ["--max-user-rate", "2", "--max-operations-per-socket", "1"];
    let app = app(&flags).await;
    for is_refused in [false, true] {
        let user = if is_refused { "ann" } else { "bob" };
        let mut socket = Socket::of(&app, &token(user)).await;
        if is_refused {
            socket.subscribe("s", LIBRARY_VERSION).await;
            assert_eq!(socket.next().await, version("s", 1));
        }
        let exceeding = async {
            loop {
                socket.subscribe("a", LIBRARY_VERSION).await;
                socket.send(json!({"type": "complete", "id": "a"})).await;
                socket.send(json!({"type": "ping"})).await;
                loop {
                    match socket.next().await {
                        message if message["type"] == "pong" => break,
                        message if message["type"] == "error" => {
                            let code = message["payload"][0]["extensions"]["code"].clone();
                            if code == "TOO_MANY_REQUESTS" {
                                return;
                            }
                            assert_eq!(code, "TOO_MANY_OPERATIONS");
                        }
                        _ => {}
                    }
                }
            }
        };
        soon("the rate limit is exceeded", exceeding).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_in_flight_gets_its_result_before_its_socket_closes() {
    let flags = ["--drain-spread", "0s", "--max-stream-life"];
    for (life, code) in [("1h", 1012), ("2s", 1001)] {
        let app = TestApp::start_with(Db::Postgres, &[&flags[..], &[life]].concat()).await;
        app.user("ann").add("A").await;
        let bystander = app.db.connect().await;
        let lock = bystander.begin().await.unwrap();
        lock.execute_unprepared("SELECT 1 FROM topaz_user FOR UPDATE")
            .await
            .unwrap();
        let mut idle = Socket::of(&app, &token("ann")).await;
        let mut socket = Socket::of(&app, &token("ann")).await;
        socket.subscribe("s", LIBRARY_VERSION).await;
        assert_eq!(socket.next().await, version("s", 2));
        socket.subscribe("m", TAG).await;
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                       AND datname = current_database()";
        let begun = async { while app.db.scalar::<i64>(waiting).await == 0 {} };
        soon("the mutation is in flight", begun).await;
        if code == 1012 {
            app.begin_stop();
        }
        assert_eq!(idle.closed().await.0, code);
        // Operations that arrive now are not executed.
        socket.subscribe("late", TAG).await;
        lock.commit().await.unwrap();
        let next = socket.next().await;
        assert_eq!((&next["id"], &next["type"]), (&json!("m"), &json!("next")));
        assert_eq!(next["payload"]["data"]["createTag"]["libraryVersion"], 3);
        assert_eq!(socket.next().await, json!({"id": "m", "type": "complete"}));
        assert_eq!(socket.next_or_closed().await.unwrap_err().0, code);
        let version: i32 = app
            .db
            .scalar("SELECT library_version FROM topaz_user")
            .await;
        assert_eq!(version, 3, "and nothing else was executed");
    }
}

#[tokio::test]
async fn messages_pipelined_after_connection_init_wait_for_connection_ack() {
    let app = app(&[]).await;
    for (name, is_known) in [(token("ann"), true), ("x.y.z".to_owned(), false)] {
        let mut socket = Socket::open(&app).await;
        let payload = json!({"Authorization": format!("Bearer {name}")});
        socket
            .send(json!({"type": "connection_init", "payload": payload}))
            .await;
        socket.subscribe("s", LIBRARY_VERSION).await;
        socket.subscribe("m", TAG).await;
        if is_known {
            assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
            // Both run at the same time, so either can be first.
            let mut begun = BTreeSet::new();
            while begun.len() < 2 {
                begun.insert(socket.next().await["id"].to_string());
            }
        } else {
            let (code, _) = socket.next_or_closed().await.unwrap_err();
            assert_eq!(code, 4403, "and nothing was run");
        }
    }
}
