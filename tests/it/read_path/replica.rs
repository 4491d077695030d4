//! A lagging replica serves only queries that allow stale data.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::time::Instant;

use crate::{
    support::servers::{Proxy, Server},
    support::socket::Socket,
    support::test_app::{
        Db, TestApp, TestDatabase, TestProcess, TestUser, on_each_database, soon, token,
    },
};

/// A server whose replica is stalled at version 2, while the library is at 3.
async fn lagging(db: Db) -> (TestApp, TestDatabase) {
    let mut primary = TestApp::start(db).await;
    primary.user("ann").add("old").await;
    primary.stop().await;
    let mut replica = primary.db.copy(db).await;
    replica.url = read_only(db, &replica.url);
    let flags = ["--read-database-url", replica.url.as_str()];
    let app = primary.restart(&flags).await;
    app.user("ann").add("new").await;
    (app, replica)
}

/// The address of a database in read-only mode, like a standby.
fn read_only(db: Db, url: &str) -> String {
    match db {
        Db::Sqlite => url.to_owned(),
        Db::Postgres => format!("{url}?options=-c%20default_transaction_read_only%3Don"),
    }
}

const TITLES: &str = "{ libraryVersion progresses { edges { node { story { title } } } } }";

/// The titles that a query returns, the version in its data, and the minimum version of its response.
async fn titles(user: &TestUser<'_>, minimum: Option<&str>) -> (Vec<String>, Value, Value) {
    let mut request = user
        .app
        .http
        .post(user.app.url("/graphql"))
        .bearer_auth(&user.token)
        .json(&json!({"query": TITLES}));
    if let Some(version) = minimum {
        request = request.header("x-min-library-version", version);
    }
    let response: Value = soon("a response", async {
        request.send().await.unwrap().json().await.unwrap()
    })
    .await;
    let edges = response["data"]["progresses"]["edges"]
        .as_array()
        .unwrap_or_else(|| panic!("{response}"));
    let titles = edges
        .iter()
        .map(|edge| edge["node"]["story"]["title"].as_str().unwrap().to_owned());
    (
        titles.collect(),
        response["data"]["libraryVersion"].clone(),
        response["extensions"]["libraryVersion"].clone(),
    )
}

on_each_database! {
    async fn a_query_may_read_the_replica_and_returns_the_version_of_its_data(db: Db) {
        let (app, _replica) = lagging(db).await;
        let (titles, version, minimum) = titles(&app.user("ann"), None).await;
        assert_eq!(titles, ["old"]);
        assert_eq!(minimum, 2, "the minimum version of the data");
        assert_eq!(version, 3, "a version is never a replica's");
    }

    async fn a_query_never_returns_data_below_its_minimum_version(db: Db) {
        let (app, _replica) = lagging(db).await;
        let ann = app.user("ann");
        assert_eq!(titles(&ann, Some("2")).await.0, ["old"]);
        assert_eq!(titles(&ann, Some("3")).await, (vec!["new".to_owned(), "old".to_owned()], json!(3), json!(3)));
    }

    async fn version_checks_deltas_streams_and_writes_never_use_the_replica(db: Db) {
        let (app, _replica) = lagging(db).await;
        let ann = app.user("ann");
        assert_eq!(ann.version().await, 3);
        assert_eq!(ann.watch().await.until(3).await, [3]);
        let changes = ann.ask("{ libraryChanges(since: 2) { version reset changes { __typename } } }", json!({})).await;
        assert_eq!(changes["libraryChanges"]["version"], 3);
        assert_eq!(changes["libraryChanges"]["reset"], false);
        let made = ann.add("newer").await;
        assert_eq!((&made["libraryVersion"], &made["progress"]["story"]["title"]), (&json!(4), &json!("newer")));
    }

    async fn fields_read_beside_a_delta_use_the_primary(db: Db) {
        let (app, _replica) = lagging(db).await;
        let ann = app.user("ann");
        let entries = ann.ask("{ libraryChanges(since: 0) { changes { ... on Story { id title } } } }", json!({})).await;
        let changes = entries["libraryChanges"]["changes"].as_array().unwrap();
        let old = changes.iter().find(|change| change["title"] == "old").unwrap();
        ann.update_story(json!({"id": old["id"], "title": "renamed"})).await;
        let query = "{ libraryChanges(since: 0) { version changes { ... on Progress { story { title } } ... on Story { title progress { stamp } } } }
            progresses { edges { node { story { title } } } } }";
        let response = ann.send(query, json!({})).await;
        assert!(response.get("errors").is_none(), "{response}");
        let mut titles = vec![];
        for change in response["data"]["libraryChanges"]["changes"].as_array().unwrap() {
            let title = change["story"]["title"].as_str().or(change["title"].as_str());
            titles.push(title.unwrap().to_owned());
            assert!(change.get("story").is_some() || change["progress"]["stamp"].is_i64(), "{change}");
        }
        titles.sort_unstable();
        assert_eq!(titles, ["new", "new", "renamed", "renamed"]);
        let listed: Vec<_> = response["data"]["progresses"]["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["story"]["title"].clone()).collect();
        assert_eq!(listed, ["new", "renamed"]);
        assert_eq!((&response["extensions"]["libraryVersion"], &response["data"]["libraryChanges"]["version"]), (&json!(4), &json!(4)));
    }

    async fn a_socket_sends_the_minimum_version_in_its_message(db: Db) {
        let (app, _replica) = lagging(db).await;
        let mut socket = Socket::of(&app, &token("ann")).await;
        let mut ask = async |extensions: Value| {
            let payload = json!({"query": TITLES, "extensions": extensions});
            socket.send(json!({"id": "1", "type": "subscribe", "payload": payload})).await;
            let response = socket.next().await;
            assert_eq!(socket.next().await["type"], "complete");
            response["payload"]["extensions"]["libraryVersion"].clone()
        };
        assert_eq!(ask(json!({})).await, 2);
        assert_eq!(ask(json!({"minLibraryVersion": 2})).await, 2);
        assert_eq!(ask(json!({"minLibraryVersion": 3})).await, 3);
    }

    async fn a_minimum_version_above_the_library_gets_503(db: Db) {
        let (app, _replica) = lagging(db).await;
        let ann = app.user("ann");
        let ask = async |query: &str, version: &str| {
            let request = app.http.post(app.url("/graphql")).bearer_auth(&ann.token);
            let request = request.header("x-min-library-version", version).header("accept", "application/graphql-response+json");
            let response = soon("a response", request.json(&json!({"query": query})).send()).await.unwrap();
            let (status, retry) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
            (status, retry, response.json::<Value>().await.unwrap())
        };
        for query in [TITLES, "{ libraryVersion }", "{ libraryChanges(since: 2) { version } }"] {
            let (status, may_retry, response) = ask(query, "4").await;
            assert_eq!((status, may_retry), (503, true), "{response}");
            let error = &response["errors"][0];
            assert_eq!(error["extensions"]["code"], "UNAVAILABLE");
            assert!(error["message"].as_str().unwrap().contains("at version 3, below the required minimum 4"), "{error}");
            assert_eq!(ask(query, "3").await.0, 200);
        }
        // A version that is committed meanwhile is awaited.
        let (response, _) = tokio::join!(ask(TITLES, "4"), ann.add("newer"));
        assert_eq!(response.0, 200, "{}", response.2);
        // Mutations ignore the minimum version.
        let tag = r#"mutation { createTag(input: {name: "a"}) { libraryVersion } }"#;
        assert_eq!(ask(tag, "900").await.2["data"]["createTag"]["libraryVersion"], 5);
    }

    async fn an_invalid_minimum_version_is_refused(db: Db) {
        let app = TestApp::start(db).await;
        let request = app.http.post(app.url("/graphql")).bearer_auth(token("ann"));
        let request = request.header("x-min-library-version", "x").json(&json!({"query": "{ libraryVersion }"}));
        assert_eq!(request.send().await.unwrap().status(), 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_replica_is_skipped_for_a_while() {
    let primary = TestDatabase::new(Db::Postgres).await;
    let postgres: url::Url = primary.url.parse().unwrap();
    let proxy = Proxy::to(postgres.port().unwrap()).await;
    let mut replica = postgres;
    replica.set_port(Some(proxy.port)).unwrap();
    let replica = read_only(Db::Postgres, replica.as_str());
    let app = TestApp::start_on(primary, &["--read-database-url", &replica]).await;
    let ann = app.user("ann");
    ann.add("old").await;
    assert_eq!(titles(&ann, None).await.0, ["old"]);
    let asked = proxy.accepted();
    assert!(asked > 0);
    proxy.partition();
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(titles(&ann, None).await.0, ["old"]);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?} for 50 queries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_replica_falls_back_to_the_primary() {
    let gone = [
        "--read-database-url",
        "postgres://nobody@127.0.0.1:1/nothing",
        "--database-wait",
        "300ms",
    ];
    let app = TestApp::start_with(Db::Postgres, &gone).await;
    let ann = app.user("ann");
    ann.add("old").await;
    assert_eq!(titles(&ann, None).await.0, ["old"]);
}

/// A server that reads a standby and logs to a file.
async fn serve_with_replica(primary: &Server, standby: &Server) -> (TestProcess, NamedTempFile) {
    let log = NamedTempFile::new().unwrap();
    let replica = standby.url();
    let flags = ["--read-database-url", &replica, "--max-replica-lag", "1s"];
    let written = Stdio::from(log.reopen().unwrap());
    let server = TestProcess::serve_logging(&primary.url(), &flags, written).await;
    (server, log)
}

async fn add_tag(server: &TestProcess, name: &str) -> Value {
    let query = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion } }";
    let made = server.send("ann", query, json!({"name": name})).await;
    made.unwrap()["data"]["createTag"]["libraryVersion"].take()
}

/// The minimum version of a query's response.
async fn response_version(server: &TestProcess) -> Value {
    let response = server.send("ann", "{ tags { name } }", json!({})).await;
    response.unwrap()["extensions"]["libraryVersion"].take()
}

async fn until_response_version(server: &TestProcess, version: i64) {
    soon(&format!("version {version} is shown"), async {
        while response_version(server).await != version {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_or_promoted_or_foreign_replica_is_not_read_and_reported_once() {
    let primary = Server::postgres().await;
    let standby = primary.standby().await;
    let on_standby = TestDatabase::at(standby.url());
    let (server, log) = serve_with_replica(&primary, &standby).await;
    assert_eq!(add_tag(&server, "a").await, 2);
    until_response_version(&server, 2).await;

    // The standby stalls, while the primary continues.
    on_standby.execute("SELECT pg_wal_replay_pause()").await;
    assert_eq!(add_tag(&server, "b").await, 3);
    until_response_version(&server, 3).await;
    assert_eq!(add_tag(&server, "c").await, 4);
    assert_eq!(response_version(&server).await, 4, "the primary is read");
    on_standby.execute("SELECT pg_wal_replay_resume()").await;
    let lines = |text: &str| {
        std::fs::read_to_string(log.path())
            .unwrap()
            .matches(text)
            .count()
    };
    soon("it is read again", async {
        while lines("the database of --read-database-url is read\"") < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;

    // It is promoted by mistake.
    on_standby.execute("SELECT pg_promote()").await;
    soon("the promotion is detected", async {
        while lines("it accepts writes") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(add_tag(&server, "d").await, 5);
    assert_eq!(response_version(&server).await, 5);
    assert_eq!(
        (lines("lags more than"), lines("it accepts writes")),
        (1, 1),
        "each is reported once"
    );
    drop(server);

    // A standby of another cluster.
    let other = Server::postgres().await;
    let (server, log) = serve_with_replica(&other, &standby).await;
    assert!(
        std::fs::read_to_string(log.path())
            .unwrap()
            .contains("of another database cluster")
    );
    assert_eq!(response_version(&server).await, 1);
}
