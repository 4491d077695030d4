//! GraphQL over WebSocket, rule by rule of its PROTOCOL.md, and what ours adds.

use std::time::{Duration, Instant};

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

/// The status of an upgrade that was refused.
fn status(refused: Result<Socket, tungstenite::Error>) -> u16 {
    match refused {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the socket opened"),
    }
}

on_each_database! {
    async fn a_subscription_tells_the_current_version_and_then_each_newer_one(db: Db) {
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

    async fn queries_and_mutations_are_answered_once_and_completed(db: Db) {
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
async fn a_token_is_taken_from_the_payload_whatever_the_case_of_its_key() {
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
async fn a_token_is_taken_from_the_header_or_the_cookie_of_the_upgrade() {
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
async fn a_header_that_is_not_accepted_is_refused_at_the_upgrade() {
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
async fn a_caller_who_is_not_known_is_closed_with_4403() {
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

    // A cookie that has run out is told by the code of a close, since browsers hide the status of an upgrade.
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
        (4403, "the token has expired".to_owned())
    );
}

#[tokio::test]
async fn a_socket_that_is_not_introduced_in_time_is_closed_with_4408() {
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
async fn a_second_introduction_is_closed_with_4429() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    socket.send(json!({"type": "connection_init"})).await;
    let closed = (4429, "Too many initialisation requests".to_owned());
    assert_eq!(socket.closed().await, closed);
}

#[tokio::test]
async fn an_operation_before_the_acknowledgement_is_closed_with_4401() {
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
    // A client must fail a connection for which none of the subprotocols that it offered was selected.
    let refused = Socket::open_raw(offer(&["graphql-ws"])).await;
    assert!(matches!(refused, Err(tungstenite::Error::Protocol(_))));
    let mut socket = Socket::open_raw(offer(&["graphql-ws", "graphql-transport-ws"]))
        .await
        .unwrap();
    socket.init(&token("ann")).await;
}

// ── ping and pong ────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_ping_is_answered_by_a_pong_of_its_payload_at_any_time() {
    let app = app(&[]).await;
    let mut socket = Socket::open(&app).await;
    for introduce in [false, true] {
        if introduce {
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
async fn the_servers_pings_tell_the_version() {
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
async fn nothing_is_told_before_the_acknowledgement() {
    let app = app(&["--heartbeat", "100ms", "--init-timeout", "500ms"]).await;
    let mut socket = Socket::open(&app).await;
    let (code, _) = socket.next_with_pings().await.unwrap_err();
    assert_eq!(code, 4408);
}

#[tokio::test]
async fn a_client_that_is_silent_is_closed_with_a_code_it_comes_back_after() {
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
async fn any_frame_is_a_sign_of_life() {
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
async fn an_operation_that_is_not_valid_gets_an_error_and_nothing_more() {
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
async fn a_field_that_fails_is_part_of_a_result() {
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
async fn a_subscription_that_the_client_completes_says_nothing_more() {
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
async fn a_query_that_the_client_completes_is_not_answered_even_if_it_was_under_way() {
    let app = app(&[]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    for _ in 0..20 {
        // Both in one go, so that the second is there before the first is answered.
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
        // Either it was answered before `complete` was read, or it is not answered at all.
        assert!(
            before.is_empty() || before == ["next", "complete"] || before == ["next"],
            "{before:?}"
        );
        socket.assert_no_message().await;
    }
}

#[tokio::test]
async fn messages_about_operations_that_are_not_known_are_passed_over() {
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
async fn an_operation_too_many_is_refused_and_the_others_go_on() {
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
    let mut told = [socket.next().await, socket.next().await];
    told.sort_by_key(|message| message["id"].to_string());
    assert_eq!(told, [version("b", 2), version("c", 2)]);
}

#[tokio::test]
async fn a_mutation_that_has_begun_is_made_whole_even_if_the_socket_closes() {
    let app = app(&[]).await;
    let ann = app.user("ann");
    let mut watch = ann.watch().await;
    for n in 0..20_u64 {
        let mut socket = Socket::of(&app, &token("ann")).await;
        let mutation =
            format!("mutation {{ createTag(input: {{name: \"{n}\"}}) {{ libraryVersion }} }}");
        socket.subscribe("m", &mutation).await;
        if n == 0 {
            // Its answer says that it is made.
            assert_eq!(
                socket.next().await["payload"]["data"]["createTag"]["libraryVersion"],
                2
            );
        }
        // Each is dropped at another moment: before it begins, while it is under way, after its end.
        tokio::time::sleep(Duration::from_micros(n * 750)).await;
        drop(socket);
    }
    // What was made is told: nothing is written now that would be told in its place.
    let told = async {
        let mut told = 1;
        while told < stored(&app).await {
            told = watch.next().await.unwrap()["version"].as_i64().unwrap();
        }
        told
    };
    let told = soon("the last is told, long before the heartbeat", told).await;
    let rest = "SELECT library_version - (SELECT count(*) FROM topaz_tag) FROM topaz_user";
    assert_eq!(app.db.scalar::<i32>(rest).await, 1, "told of {told}");
}

async fn stored(app: &TestApp) -> i64 {
    app.db
        .scalar::<i32>("SELECT library_version FROM topaz_user")
        .await
        .into()
}

// ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn what_is_no_message_of_a_client_is_closed_with_4400() {
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
        let mut introduced = Socket::of(&app, &token("ann")).await;
        let mut fresh = Socket::open(&app).await;
        for socket in [&mut introduced, &mut fresh] {
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

    // Nor does what follows a frame that is not UTF-8 destroy the code.
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
async fn a_document_nested_beyond_reason_is_refused() {
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
async fn a_socket_too_many_is_refused_by_status_or_close_code_as_its_token_came() {
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
    // Not 4429, after which clients do not come back: the place may be that of a device that lost its network.
    let closed = second.closed().await;
    assert_eq!(closed.0, 1013, "{closed:?}");
    Socket::of(&app, &token("bob")).await;

    drop(first);
    soon("the place is free", async {
        while Socket::open_with(&app, "/graphql", with).await.is_err() {}
    })
    .await;
}

#[tokio::test]
async fn a_token_in_the_payload_goes_before_that_of_the_upgrade() {
    let app = app(&["--max-streams-per-user", "1"]).await;
    let with = |r: ClientRequestBuilder| {
        r.with_header("Authorization", format!("Bearer {}", token("ann")))
    };
    let mut socket = Socket::open_with(&app, "/graphql", with).await.unwrap();
    socket.init(&token("bob")).await;
    app.user("bob").add("B").await;
    socket.subscribe("s", LIBRARY_VERSION).await;
    assert_eq!(socket.next().await, version("s", 2));
    // Ann's place was given back.
    Socket::open_with(&app, "/graphql", with).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_was_not_introduced_does_not_hold_up_a_stop() {
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
async fn a_close_that_the_client_begins_is_answered_by_its_code() {
    let app = app(&[]).await;
    for introduce in [false, true] {
        for (code, reason) in [(1000, "Normal Closure"), (4400, ""), (1001, "going away")] {
            let mut socket = Socket::open(&app).await;
            if introduce {
                socket.init(&token("ann")).await;
                socket.subscribe("s", LIBRARY_VERSION).await;
                assert_eq!(socket.next().await, version("s", 1));
            }
            socket.close(code, reason).await;
            let closed = (code, reason.to_owned());
            assert_eq!(socket.closed().await, closed, "introduced: {introduce}");
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_faster_than_it_may_is_heard_later_and_not_closed() {
    let app = app(&["--max-message-rate", "20"]).await;
    let mut socket = Socket::of(&app, &token("ann")).await;
    let began = Instant::now();
    // Ten seconds' worth at once, of which the introduction was one, and two seconds' worth more.
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
async fn operations_that_are_given_up_or_refused_at_once_count_as_asked() {
    let flags = ["--max-user-rate", "2", "--max-operations-per-socket", "1"];
    let app = app(&flags).await;
    for is_refused in [false, true] {
        let user = if is_refused { "ann" } else { "bob" };
        let mut socket = Socket::of(&app, &token(user)).await;
        if is_refused {
            socket.subscribe("s", LIBRARY_VERSION).await;
            assert_eq!(socket.next().await, version("s", 1));
        }
        let asked = async {
            loop {
                socket.subscribe("a", LIBRARY_VERSION).await;
                socket.send(json!({"type": "complete", "id": "a"})).await;
                socket.send(json!({"type": "ping"})).await;
                loop {
                    match socket.next().await {
                        told if told["type"] == "pong" => break,
                        told if told["type"] == "error" => {
                            let code = told["payload"][0]["extensions"]["code"].clone();
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
        soon("it is too fast", asked).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutation_under_way_is_answered_before_its_socket_ends() {
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
        soon("the mutation is under way", begun).await;
        if code == 1012 {
            app.begin_stop();
        }
        assert_eq!(idle.closed().await.0, code);
        // What comes now is for the next server.
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
        assert_eq!(version, 3, "and nothing else was begun");
    }
}

#[tokio::test]
async fn what_is_sent_on_the_heels_of_the_introduction_waits_for_the_acknowledgement() {
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
            assert_eq!(socket.next().await["id"], "s");
        } else {
            let (code, _) = socket.next_or_closed().await.unwrap_err();
            assert_eq!(code, 4403, "and nothing was run");
        }
    }
}
