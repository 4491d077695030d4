//! `/api/trpc/view.getVersion`, as the older app's service worker and page call it, and with the unmodified
//! `@trpc/client`.

use serde_json::{Value, json};

use crate::{
    support::test_app::{Db, TestApp, on_each_database, soon, token},
    transports::clients,
};

const PATH: &str = "/api/trpc/view.getVersion";

async fn get(app: &TestApp, query: &str, bearer: &str) -> (u16, String) {
    let request = app
        .http
        .get(app.url(&format!("{PATH}{query}")))
        .bearer_auth(bearer);
    let response = soon("a response", request.send()).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

on_each_database! {
    async fn the_version_is_where_the_service_worker_and_the_page_read_it(db: Db) {
        let app = TestApp::start(db).await;
        app.user("ann").add("A").await;
        let result = r#"{"result":{"data":{"json":{"version":2},"version":2}}}"#;
        let same = |text: &str, expected: &str| {
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(json(text), json(expected));
        };
        let (status, text) = get(&app, "", &token("ann")).await;
        assert_eq!(status, 200);
        same(&text, result);
        let (status, text) = get(&app, "?batch=1&input=%7B%7D", &token("ann")).await;
        assert_eq!(status, 200);
        same(&text, &format!("[{result}]"));
    }
}

#[tokio::test]
async fn the_body_is_byte_for_byte_that_of_the_older_app() {
    let app = TestApp::start(Db::Sqlite).await;
    let (_, text) = get(&app, "", &token("ann")).await;
    assert_eq!(
        text,
        r#"{"result":{"data":{"version":1,"json":{"version":1}}}}"#
    );
}

#[tokio::test]
async fn an_unauthenticated_caller_is_refused() {
    let app = TestApp::start(Db::Sqlite).await;
    assert_eq!(get(&app, "", "x.y.z").await.0, 401);
    let ticket = app.http.get(app.url(&format!("{PATH}?ticket=st_none")));
    assert_eq!(ticket.send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_link_of_the_trpc_client_reads_the_version_and_the_401() {
    let app = TestApp::start(Db::Sqlite).await;
    app.user("ann").add("A").await;
    let outcomes = clients::output(&["trpc.mjs", &app.base, &token("ann")]).await;
    assert_eq!(outcomes.len(), 8);
    for outcome in outcomes {
        assert_eq!(outcome["version"], 2, "{outcome}");
    }
    for outcome in clients::output(&["trpc.mjs", &app.base, "x.y.z"]).await {
        let error = json!({
            "message": "UNAUTHORIZED",
            "code": -32001,
            "data": {
                "code": "UNAUTHORIZED",
                "httpStatus": 401,
                "path": "view.getVersion",
                "reason": "UNAUTHENTICATED",
            },
        });
        assert_eq!(outcome["error"], error, "{outcome}");
    }
}

#[tokio::test]
async fn every_error_of_the_route_has_the_trpc_format() {
    let app = TestApp::start_with(Db::Sqlite, &["--max-address-rate", "3"]).await;
    let url = app.url(PATH);
    let send = async |request: reqwest::RequestBuilder| {
        let response = soon("a response", request.send()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert!(
            headers
                .get_all("vary")
                .iter()
                .any(|value| value.as_bytes().starts_with(b"trpc-accept"))
        );
        assert_eq!(headers["content-type"], "application/json");
        (status, headers, response.json::<Value>().await.unwrap())
    };
    let (status, headers, body) = send(app.http.get(&url)).await;
    assert_eq!(
        (status, &body["error"]["data"]["code"]),
        (401, &json!("UNAUTHORIZED"))
    );
    assert!(headers.contains_key("www-authenticate"));
    let streamed = app
        .http
        .get(&url)
        .header("trpc-accept", "application/jsonl");
    let (status, headers, body) = send(streamed).await;
    assert_eq!(status, 200, "a stream has begun");
    assert_eq!(body["0"][0][0]["error"]["data"]["httpStatus"], 401);
    assert!(!headers.contains_key("www-authenticate"));
    let (status, headers, body) = send(app.http.post(&url)).await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!(-32005)));
    assert_eq!(headers["allow"], "GET, HEAD");
    let mut last = send(app.http.get(&url)).await;
    for _ in 0..200 {
        last = send(app.http.get(&url)).await;
        if last.0 == 429 {
            break;
        }
    }
    let (status, headers, body) = last;
    assert_eq!(
        (status, &body["error"]["data"]["code"]),
        (429, &json!("TOO_MANY_REQUESTS"))
    );
    assert_eq!(body["error"]["json"]["data"]["reason"], "TOO_MANY_REQUESTS");
    assert!(headers.contains_key("retry-after"));
}
