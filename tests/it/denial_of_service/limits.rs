//! Each configured limit: a request at the limit succeeds, and one above it is refused.

use serde_json::{Value, json};

use crate::support::test_app::{Db, TestApp, TestDatabase, TestProcess, soon, token};

/// A flag with its value, a request at the limit, a request above it, and the code of the refusal.
struct Limit {
    flag: &'static str,
    value: usize,
    within: Value,
    past: Value,
    code: &'static str,
}

fn document(query: impl Into<String>) -> Value {
    json!({"query": query.into()})
}

fn limits() -> Vec<Limit> {
    let padded = |bytes| document(format!("{:<bytes$}", "{ libraryVersion }"));
    // A name is one token, like each brace.
    let fields = |n| document(format!("{{ {} }}", "__typename ".repeat(n)));
    let aliases = |n: usize| {
        let alias = |n| format!("a{n}: __typename ");
        let names: String = (0..n).map(alias).collect();
        document(format!("{{ {names} }}"))
    };
    let nested = |depth: usize| {
        let (open, close) = ("{ ofType ".repeat(depth - 3), "}".repeat(depth - 3));
        document(format!(
            "{{ __schema {{ queryType {open} {{ name }} {close} }} }}"
        ))
    };
    let page = |n: usize| document(format!("{{ progresses(first: {n}) {{ totalCount }} }}"));
    let changes = |n: usize| {
        document(format!(
            "{{ libraryChanges(since: 0, first: {n}) {{ version }} }}"
        ))
    };
    let limit = |flag, value, within, past, code| Limit {
        flag,
        value,
        within,
        past,
        code,
    };
    let complex = "QUERY_TOO_COMPLEX";
    vec![
        limit("--max-document", 100, padded(100), padded(101), complex),
        limit("--max-tokens", 12, fields(10), fields(11), complex),
        limit("--max-depth", 5, nested(5), nested(6), complex),
        limit("--max-complexity", 30, aliases(30), aliases(31), complex),
        limit("--max-aliases", 7, aliases(7), aliases(8), complex),
        limit("--max-page", 23, page(23), page(24), "BAD_USER_INPUT"),
        limit(
            "--max-changes",
            501,
            changes(501),
            changes(502),
            "BAD_USER_INPUT",
        ),
    ]
}

async fn ask(app: &TestApp, request: &Value) -> Value {
    let request = app.http.post(app.url("/graphql")).json(request);
    let request = request.bearer_auth(token("ann"));
    soon("a response", async {
        request.send().await.unwrap().json().await.unwrap()
    })
    .await
}

#[tokio::test]
async fn a_request_at_a_limit_succeeds_and_one_above_it_is_refused() {
    for limit in limits() {
        let value = limit.value.to_string();
        let app = TestApp::start_with(Db::Sqlite, &[limit.flag, &value]).await;
        let response = ask(&app, &limit.within).await;
        assert!(
            response.get("errors").is_none(),
            "{}: {response}",
            limit.flag
        );
        let response = ask(&app, &limit.past).await;
        let error = &response["errors"][0];
        assert_eq!(
            error["extensions"]["code"], limit.code,
            "{}: {response}",
            limit.flag
        );
        let names_limit = error["message"].as_str().unwrap().contains(&value);
        assert!(names_limit, "{} is in the message: {error}", limit.flag);
    }
}

#[tokio::test]
async fn the_number_of_persisted_documents_is_limited() {
    let persisted = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let hex = |byte: &u8| format!("{byte:02x}");
        let hash: String = digest.as_ref().iter().map(hex).collect();
        json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
    };
    let texts = ["{ libraryVersion }", "{ viewer { id } }", "{ __typename }"];
    let app = TestApp::start_with(Db::Sqlite, &["--persisted-documents", "2"]).await;
    for text in texts {
        let request = json!({"query": text, "extensions": persisted(text)});
        assert!(ask(&app, &request).await.get("errors").is_none());
    }
    let mut kept = Vec::new();
    for text in texts {
        let response = ask(&app, &json!({"extensions": persisted(text)})).await;
        match response["errors"][0]["extensions"]["code"].as_str() {
            None => kept.push(text),
            Some(code) => assert_eq!(code, "PERSISTED_QUERY_NOT_FOUND"),
        }
    }
    assert_eq!(kept, texts[1..], "the least recently used one was evicted");
    let none = TestApp::start_with(Db::Sqlite, &["--persisted-documents", "0"]).await;
    let response = ask(&none, &json!({"extensions": persisted(texts[0])})).await;
    let code = &response["errors"][0]["extensions"]["code"];
    assert_eq!(code, "PERSISTED_QUERY_NOT_SUPPORTED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_main_operational_metrics_are_recorded() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let server = TestProcess::serve(&database.url, &[]).await;
    let refused = server.send("ann", "{ nope }", json!({})).await.unwrap();
    assert_eq!(
        refused["errors"][0]["extensions"]["code"],
        "GRAPHQL_VALIDATION_FAILED"
    );
    for (name, least) in [
        ("library_sync_errors_total", 1.0),
        ("library_sync_ready", 1.0),
        ("library_sync_database_up", 1.0),
        ("library_sync_db_connections", 1.0),
        ("library_sync_process_resident_bytes", 1e6),
        ("library_sync_process_open_files", 5.0),
        ("library_sync_process_max_files", 64.0),
    ] {
        let value = server.counter(name).await;
        assert!(value >= least, "{name}: {value}");
    }
}
