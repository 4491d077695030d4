//! The conformance rules of version streams, tested with the npm clients that applications use. More are in `clients`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    support::test_app::{Db, TestApp, soon, token, token_for},
    support::transport::Transport,
    transports::clients::{CLIENTS, Client},
};

/// Starts each of the clients, and waits until it has the current version.
async fn watch_all(app: &TestApp, token: &str, current: i64) -> [Client; 4] {
    let mut clients = CLIENTS.map(|name| Client::watch(name, &app.base, token));
    join_all(clients.iter_mut().map(|client| client.until(current))).await;
    for client in &clients {
        assert_eq!(
            client.versions,
            [current],
            "{}: the current version comes first",
            client.name
        );
    }
    clients
}

/// Changes the library `times` times in one request.
async fn change(app: &TestApp, times: i64) {
    let tags = (0..times).map(|at| {
        let name = uuid::Uuid::now_v7();
        format!(r#"t{at}: createTag(input: {{name: "{name}"}}) {{ libraryVersion }} "#)
    });
    let mutation = format!("mutation {{ {} }}", tags.collect::<String>());
    app.user("ann").ask(&mutation, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_rapid_changes_arrive_in_ascending_order_up_to_the_last() {
    // A heartbeat repeats the version.
    let app = TestApp::start_with(Db::Sqlite, &["--heartbeat", "5m"]).await;
    app.user("ann").add("A").await;
    let mut clients = watch_all(&app, &token("ann"), 2).await;
    let changes = async {
        for _ in 0..25 {
            change(&app, 40).await;
        }
    };
    let watching = join_all(clients.iter_mut().map(|client| client.until(1_002)));
    tokio::join!(changes, watching);
    for client in clients {
        let is_newer = |pair: &[i64]| pair[0] < pair[1];
        assert!(
            client.versions.windows(2).all(is_newer),
            "{}: {:?}",
            client.name,
            client.versions
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_token_expires_continues_with_a_new_one() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let began = Instant::now();
    let lifetime = Duration::from_secs(6);
    let mut clients = watch_all(&app, &token_for("ann", lifetime), 1).await;
    for client in &mut clients {
        client.renew(&token("ann"));
    }
    let again = clients.iter_mut().map(async |client| {
        // The reported cause of the end, and then the current version again.
        let mut why = Vec::new();
        loop {
            let event = client.next().await;
            match event["event"].as_str() {
                Some("version") => break assert_eq!(event["version"], 1, "{}", client.name),
                Some("gave_up" | "complete") => panic!("{}: {event}", client.name),
                _ => why.push(event.to_string()),
            }
        }
        let reason = match client.name {
            "graphql-ws" => "4440",
            "eventsource" => "auth_expired",
            _ => "TOKEN_EXPIRED",
        };
        assert!(
            why.iter().any(|event| event.contains(reason)),
            "{}: {why:?}",
            client.name
        );
    });
    join_all(again).await;
    assert!(
        began.elapsed() > Duration::from_secs(4),
        "they ended before their token did"
    );
    app.user("ann").add("A").await;
    join_all(clients.iter_mut().map(|client| client.until(2))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_loses_no_client() {
    let flags = ["--drain-spread", "200ms"];
    let mut app = TestApp::start_with(Db::Sqlite, &flags).await;
    let mut clients = watch_all(&app, &token("ann"), 1).await;
    let began = Instant::now();
    app.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let [websocket, ..] = &mut clients;
    let closed = loop {
        let event = websocket.next().await;
        if event["event"] == "closed" {
            break event;
        }
    };
    assert_eq!(closed["code"], 1012, "{closed}");
    let app = app.restart(&flags).await;
    app.user("ann").add("A").await;
    // No client has given up or completed.
    join_all(clients.iter_mut().map(|client| client.until(2))).await;
    for client in clients {
        assert!(
            client.versions.is_sorted(),
            "{}: {:?}",
            client.name,
            client.versions
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_the_stream_limit_connects_once_a_stream_ends() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-streams-per-user", "1"]).await;
    // An `EventSource` gives up after a status, by its specification.
    for name in CLIENTS.into_iter().filter(|name| *name != "eventsource") {
        let opening = async {
            loop {
                // Until the stream of the previous client has ended.
                if let Ok(stream) = Transport::Events.open(&app, &token("ann")).await {
                    return stream;
                }
            }
        };
        let holder = soon("a free stream", opening).await;
        let mut client = Client::watch(name, &app.base, &token("ann"));
        loop {
            let event = client.next().await;
            match event["event"].as_str() {
                Some("error") => break,
                Some("closed") => break assert_eq!(event["code"], 1013, "{event}"),
                Some("connected") => {}
                _ => panic!("{name}: {event}"),
            }
        }
        drop(holder);
        client.until(1).await;
    }
}
