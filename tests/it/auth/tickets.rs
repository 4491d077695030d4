//! Tickets, with which a page of another origin opens a stream.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    support::socket::Socket,
    support::test_app::{Db, TestApp, TestUser, on_each_database, soon, token, token_for},
    support::transport::{StreamItem, Transport},
};

const MINT: &str = "mutation { createStreamTicket(input: {}) { ticket expiresIn libraryVersion refusal { code field } } }";
const TAG: &str = r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#;

/// The payload at the limit of unused tickets.
fn limit_reached() -> Value {
    let refusal = json!({"code": "LIMIT_REACHED", "field": "input"});
    json!({"ticket": null, "expiresIn": null, "libraryVersion": 1, "refusal": refusal})
}

async fn mint(app: &TestApp, user: &str) -> String {
    let minted = app.user(user).ask(MINT, json!({})).await;
    minted["createStreamTicket"]["ticket"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn millis_from_now(seconds: u64) -> u128 {
    let at = std::time::SystemTime::now() + Duration::from_secs(seconds);
    at.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

/// The status and error code of a refused request.
async fn refused(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = soon("a response", request.send()).await.unwrap();
    let status = response.status().as_u16();
    let text = soon("the body", response.text()).await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let code = body.pointer("/errors/0/extensions/code");
    // The tRPC format.
    let code = code.or_else(|| body.pointer("/error/data/reason"));
    (status, code.cloned().unwrap_or_default())
}

on_each_database! {
    async fn a_ticket_opens_one_stream_of_any_transport_for_a_page_of_any_origin(db: Db) {
        let app = TestApp::start(db).await;
        let minted = app.user("ann").ask(MINT, json!({})).await;
        assert_eq!(minted["createStreamTicket"]["expiresIn"], 30);
        assert_eq!(minted["createStreamTicket"]["libraryVersion"], 1, "minting changes nothing");
        app.user("ann").add("A").await;
        let foreign = [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")];
        for transport in Transport::ALL {
            let query = format!("?ticket={}", mint(&app, "ann").await);
            let mut stream = transport.open_with(&app, &query, &foreign).await.unwrap();
            assert_eq!(stream.next().await, StreamItem::Version(2), "{transport}");
            for again in Transport::ALL {
                let refused = again.open_with(&app, &query, &[]).await.err().unwrap();
                assert_eq!(refused.status, 401, "{transport}, then {again}");
                assert!(refused.retry_after.is_none());
            }
            // A valid token does not replace a used ticket.
            let bearer = format!("Bearer {}", token("ann"));
            let both = transport.open_with(&app, &query, &[("Authorization", &bearer)]).await;
            assert_eq!(both.err().unwrap().status, 401, "{transport}");
        }
        assert_eq!(app.user("ann").version().await, 2);
    }
}

#[tokio::test]
async fn a_ticket_authenticates_only_a_stream() {
    let app = TestApp::start(Db::Sqlite).await;
    let unauthenticated = (401, json!("UNAUTHENTICATED"));
    for (path, body) in [
        ("/graphql?query=%7BlibraryVersion%7D&", None),
        ("/graphql?", Some("{ libraryVersion }")),
        ("/graphql?", Some(TAG)),
        ("/graphql?", Some(MINT)),
        ("/api/library-version?", None),
        ("/api/trpc/view.getVersion?", None),
    ] {
        let ticket = mint(&app, "ann").await;
        let url = app.url(&format!("{path}ticket={ticket}"));
        let request = match body {
            Some(query) => app.http.post(url).json(&json!({"query": query})),
            None => app.http.get(url),
        };
        assert_eq!(refused(request).await, unauthenticated, "{path} {body:?}");
        // It is not accepted as a token either.
        let as_token = app
            .http
            .get(app.url("/api/library-version"))
            .bearer_auth(&ticket);
        assert_eq!(refused(as_token).await, unauthenticated);
    }
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn a_stream_opened_by_a_ticket_runs_only_subscriptions() {
    let app = TestApp::start(Db::Sqlite).await;
    for query in [TAG, MINT, "{ libraryVersion }"] {
        for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"] {
            let url = app.url(&format!("/graphql?ticket={}", mint(&app, "ann").await));
            let request = app.http.post(url).header("accept", accept);
            let response = soon("a response", request.json(&json!({"query": query})).send())
                .await
                .unwrap();
            let text = soon("the end", response.text()).await.unwrap();
            assert!(
                text.contains(r#""code":"FORBIDDEN""#) && !text.contains("data\":"),
                "{text}"
            );
        }
        let path = format!("/graphql?ticket={}", mint(&app, "ann").await);
        let mut socket = Socket::open_with(&app, &path, |request| request)
            .await
            .unwrap();
        socket.send(json!({"type": "connection_init"})).await;
        assert_eq!(socket.next().await["type"], "connection_ack");
        socket.subscribe("q", query).await;
        let error = socket.next().await;
        assert_eq!(error["type"], "error", "{query}");
        assert_eq!(
            error["payload"][0]["extensions"]["code"], "FORBIDDEN",
            "{query}"
        );
    }
    assert_eq!(app.user("ann").version().await, 1);
}

#[tokio::test]
async fn a_ticket_expires_and_its_stream_ends_when_the_token_expires() {
    for (life, spent_by) in [("1s", "its life"), ("1h", "its token")] {
        let flags = ["--ticket-life", life, "--jwt-leeway", "0s"];
        let app = TestApp::start_with(Db::Sqlite, &flags).await;
        let ann = TestUser {
            app: &app,
            token: token_for("ann", Duration::from_secs(2)),
        };
        // The stream of the first ticket measures the time until the second expires.
        let [mut used, mut kept] = [String::new(), String::new()];
        for ticket in [&mut used, &mut kept] {
            let minted = ann.ask(MINT, json!({})).await;
            *ticket = minted["createStreamTicket"]["ticket"]
                .as_str()
                .unwrap()
                .to_owned();
        }
        let open = async |ticket: &str| {
            Transport::Events
                .open_with(&app, &format!("?ticket={ticket}"), &[])
                .await
        };
        assert_eq!(open(&used).await.unwrap().end().await, "auth_expired");
        assert_eq!(open(&kept).await.err().unwrap().status, 401, "{spent_by}");
    }
}

#[tokio::test]
async fn a_shorter_ticket_lifetime_can_be_requested_but_not_a_longer_one() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let mint = "mutation ($life: Int) { createStreamTicket(input: {expiresIn: $life}) { ticket expiresIn refusal { code } } }";
    for (life, expires_in) in [(json!(1), 1), (json!(30), 30), (Value::Null, 30)] {
        let minted = ann.ask(mint, json!({"life": life})).await;
        assert_eq!(minted["createStreamTicket"]["expiresIn"], expires_in);
    }
    for life in [0, -1, 31] {
        let refused = ann.send(mint, json!({"life": life})).await;
        let extensions = &refused["errors"][0]["extensions"];
        let expected = (&json!("BAD_USER_INPUT"), &json!("expiresIn"));
        assert_eq!(
            (&extensions["code"], &extensions["field"]),
            expected,
            "{refused}"
        );
    }
    let left = format!(
        "SELECT count(*) FROM topaz_ticket WHERE lapses_at > {}",
        millis_from_now(5)
    );
    assert_eq!(app.db.scalar::<i64>(&left).await, 2, "those of 30 s");
}

#[tokio::test]
async fn unused_tickets_are_limited_per_user() {
    let app = TestApp::start(Db::Sqlite).await;
    let mut tickets = Vec::new();
    for _ in 0..32 {
        tickets.push(mint(&app, "ann").await);
    }
    let refused = app.user("ann").ask(MINT, json!({})).await;
    assert_eq!(refused["createStreamTicket"], limit_reached());
    mint(&app, "bob").await;
    let query = format!("?ticket={}", tickets[0]);
    Transport::Events
        .open_with(&app, &query, &[])
        .await
        .unwrap();
    mint(&app, "ann").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_valid_on_every_node_and_only_once() {
    let here = TestApp::start(Db::Postgres).await;
    let there = TestApp::start_on(here.db.shared(), &[]).await;
    for transport in Transport::ALL {
        let query = format!("?ticket={}", mint(&here, "ann").await);
        let mut stream = transport.open_with(&there, &query, &[]).await.unwrap();
        assert_eq!(stream.next().await, StreamItem::Version(1), "{transport}");
        for node in [&here, &there] {
            let again = transport.open_with(node, &query, &[]).await;
            assert_eq!(again.err().unwrap().status, 401, "{transport}");
        }
    }
    // Of many concurrent attempts on both nodes, one succeeds.
    let query = format!("?ticket={}", mint(&here, "ann").await);
    let openings = (0..16).map(|at| {
        let node = [&here, &there][at % 2];
        Transport::Events.open_with(node, &query, &[])
    });
    let opened = futures_util::future::join_all(openings).await;
    assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
    // The limit covers all nodes.
    for _ in 0..16 {
        mint(&here, "ann").await;
        mint(&there, "ann").await;
    }
    for node in [&here, &there] {
        let refused = node.user("ann").ask(MINT, json!({})).await;
        assert_eq!(refused["createStreamTicket"], limit_reached());
    }
}

on_each_database! {
    async fn a_ticket_is_stored_as_a_digest_and_purged_after_it_expires(db: Db) {
        let app = TestApp::start_with(db, &["--ticket-life", "100ms", "--purge-every", "100ms"]).await;
        let before: i64 = app.db.scalar("SELECT count(*) FROM topaz_ticket").await;
        assert_eq!(before, 0);
        let ticket = mint(&app, "ann").await;
        let rows = "SELECT count(*) FROM topaz_ticket";
        let clear = format!("{rows} WHERE digest LIKE '%{}%'", &ticket[3..]);
        assert_eq!(app.db.scalar::<i64>(&clear).await, 0);
        let purged = async { while app.db.scalar::<i64>(rows).await > 0 {} };
        soon("it is purged", purged).await;
    }
}
