//! Session cookies that an Auth.js app issues, made by the unmodified `@auth/core`.

use serde_json::{Value, json};

use crate::{
    support::test_app::{Db, SECRET, TestApp, soon, token},
    support::transport::{StreamItem, Transport},
    transports::clients,
};

/// The app's `AUTH_SECRET`. It may be shorter than the secret of the server's tokens.
const APP_SECRET: &str = "secret of the app";

/// The `Cookie` headers that `authjs-cookies.mjs` makes.
async fn cookies(secret: &str) -> Value {
    let lines = clients::output(&["authjs-cookies.mjs", secret, "ann"]).await;
    lines.into_iter().next().unwrap()
}

/// The status and code of a query with a cookie, as a page of the server's own origin sends it.
async fn query(app: &TestApp, cookie: &str) -> (u16, String) {
    let request = app.http.post(app.url("/graphql"));
    let request = request.header("cookie", cookie).header("origin", &app.base);
    let request = request.json(&json!({"query": "{ libraryVersion }"}));
    let response = soon("a response", request.send()).await.unwrap();
    let status = response.status().as_u16();
    let body: Value = soon("the body", response.json()).await.unwrap();
    let code = body["errors"][0]["extensions"]["code"].as_str();
    (status, code.unwrap_or_default().to_owned())
}

/// The first item of each stream opened with a cookie, or the status of its refusal.
async fn streams(
    app: &TestApp,
    cookie: &str,
    origin: Option<&str>,
) -> Vec<Result<StreamItem, u16>> {
    let mut items = Vec::new();
    for transport in Transport::ALL {
        // The raw HTTP clients send `Host: localhost`.
        let own = match transport {
            Transport::Websocket => &app.base,
            _ => "http://localhost",
        };
        let headers = [("Cookie", cookie), ("Origin", origin.unwrap_or(own))];
        items.push(match transport.open_with(app, "", &headers).await {
            Ok(mut stream) => Ok(stream.next().await),
            Err(refused) => Err(refused.status),
        });
    }
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_auth_js_opens_queries_and_every_stream() {
    let app = TestApp::start_with(Db::Sqlite, &["--authjs-secret", APP_SECRET]).await;
    let cookies = cookies(APP_SECRET).await;
    for name in ["plain", "secure", "chunked"] {
        let cookie = cookies[name].as_str().unwrap();
        assert_eq!(query(&app, cookie).await, (200, String::new()), "{name}");
        let items = streams(&app, cookie, None).await;
        assert_eq!(items, [const { Ok(StreamItem::Version(1)) }; 4], "{name}");
        let request = app.http.get(app.url("/api/trpc/view.getVersion"));
        let response = request.header("cookie", cookie).send().await.unwrap();
        assert_eq!(response.status(), 200, "{name}");
    }
    assert!(cookies["chunked"].as_str().unwrap().contains("-token.2="));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_auth_js_would_refuse_is_refused() {
    let app = TestApp::start_with(Db::Sqlite, &["--authjs-secret", APP_SECRET]).await;
    let own = cookies(APP_SECRET).await;
    let foreign = cookies("secret of another app").await;
    let plain = own["plain"].as_str().unwrap();
    let (rest, tag) = plain.rsplit_once('.').unwrap();
    let first = if tag.starts_with('A') { 'B' } else { 'A' };
    // {"alg":"none"} and {"sub":"ann","exp":9999999999}
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4iLCJleHAiOjk5OTk5OTk5OTl9.";
    let chunked = own["chunked"].as_str().unwrap();
    for (attack, cookie, code) in [
        (
            "another secret",
            foreign["plain"].as_str().unwrap(),
            "UNAUTHENTICATED",
        ),
        (
            "the other name",
            own["wrongName"].as_str().unwrap(),
            "UNAUTHENTICATED",
        ),
        (
            "a changed tag",
            &format!("{rest}.{first}{}", &tag[1..]),
            "UNAUTHENTICATED",
        ),
        ("no tag", &format!("{rest}."), "UNAUTHENTICATED"),
        (
            "no algorithm",
            &format!("authjs.session-token={unsigned}"),
            "UNAUTHENTICATED",
        ),
        (
            "our own token",
            &format!("authjs.session-token={}", token("ann")),
            "UNAUTHENTICATED",
        ),
        (
            "a missing chunk",
            &chunked.replace("-token.1=", "-token.x="),
            "UNAUTHENTICATED",
        ),
        (
            "an expired session",
            own["expired"].as_str().unwrap(),
            "TOKEN_EXPIRED",
        ),
    ] {
        assert_eq!(
            query(&app, cookie).await,
            (401, code.to_owned()),
            "{attack}"
        );
    }
    let expired = own["expired"].as_str().unwrap();
    for items in streams(&app, expired, None).await {
        assert!(!matches!(items, Ok(StreamItem::Version(_))), "{items:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_cannot_use_the_session() {
    let app = TestApp::start_with(Db::Sqlite, &["--authjs-secret", APP_SECRET]).await;
    let cookies = cookies(APP_SECRET).await;
    let cookie = cookies["secure"].as_str().unwrap();
    let items = streams(&app, cookie, Some("https://evil.example")).await;
    assert_eq!(items, [const { Err(403) }; 4]);
    let request = app.http.post(app.url("/graphql")).header("cookie", cookie);
    let request = request.json(&json!({"query": "{ libraryVersion }"}));
    assert_eq!(
        request.send().await.unwrap().status(),
        403,
        "a POST without an origin"
    );
    let allowed = [
        "--authjs-secret",
        APP_SECRET,
        "--allowed-origins",
        "https://app.example",
    ];
    let app = TestApp::start_with(Db::Sqlite, &allowed).await;
    let items = streams(&app, cookie, Some("https://app.example")).await;
    assert_eq!(items, [const { Ok(StreamItem::Version(1)) }; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_both_secrets_are_accepted_during_a_rotation() {
    let flags = [
        "--authjs-secret",
        "old",
        "--authjs-secret-1",
        "new",
        "--jwt-secret",
        SECRET,
    ];
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    for (secret, status) in [("old", 200), ("new", 200), ("older", 401)] {
        let cookies = cookies(secret).await;
        let cookie = cookies["plain"].as_str().unwrap();
        assert_eq!(query(&app, cookie).await.0, status, "{secret}");
    }
    assert_eq!(
        app.user("ann").version().await,
        1,
        "tokens are accepted too"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_for_tokens_only_sessions_are_accepted() {
    let app = TestApp::start_with(Db::Sqlite, &["--authjs-secret", APP_SECRET]).await;
    let refused = app
        .user("ann")
        .refused("{ libraryVersion }", json!({}))
        .await;
    assert_eq!(refused, "UNAUTHENTICATED");
    let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test]
async fn an_empty_secret_or_two_uses_of_one_cookie_are_refused_at_start() {
    let empty = TestApp::start_error("sqlite::memory:", &["--authjs-secret", ""]).await;
    assert!(
        empty.contains("--authjs-secret") && empty.contains("empty"),
        "{empty}"
    );
    let name = "authjs.session-token";
    let flags = ["--authjs-secret", APP_SECRET, "--session-cookie", name];
    let clash = TestApp::start_error("sqlite::memory:", &flags).await;
    assert!(clash.contains("--session-cookie"), "{clash}");
    assert!(!clash.contains(APP_SECRET), "{clash}");
}
