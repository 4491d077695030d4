//! `/api/trpc/view.getVersion`, as the older app's service worker and page call it.

use crate::support::test_app::{Db, TestApp, on_each_database, soon, token};

const PATH: &str = "/api/trpc/view.getVersion";

async fn get(app: &TestApp, query: &str, bearer: &str) -> (u16, String) {
    let request = app
        .http
        .get(app.url(&format!("{PATH}{query}")))
        .bearer_auth(bearer);
    let answer = soon("an answer", request.send()).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

on_each_database! {
    async fn the_version_is_where_worker_and_page_look_for_it(db: Db) {
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
async fn a_caller_who_is_not_known_is_refused() {
    let app = TestApp::start(Db::Sqlite).await;
    assert_eq!(get(&app, "", "x.y.z").await.0, 401);
    let ticket = app.http.get(app.url(&format!("{PATH}?ticket=st_none")));
    assert_eq!(ticket.send().await.unwrap().status(), 401);
}
