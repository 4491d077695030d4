//! The log lines of requests that fail with a fault.

use std::{fs::File, process::Stdio};

use serde_json::json;

use crate::support::test_app::{TestDatabase, TestProcess, http_client, on_each_database, token};

on_each_database! {
    async fn a_log_line_about_a_fault_names_the_user(db: Db) {
        let database = TestDatabase::new(db).await;
        let log = tempfile::NamedTempFile::new().unwrap();
        let writer = Stdio::from(File::create(log.path()).unwrap());
        let server = TestProcess::serve_with_files(1_000, &database.url, &[], writer).await;
        server.send("ann", "{ libraryVersion }", json!({})).await.unwrap();
        database.execute("ALTER TABLE topaz_progress RENAME TO gone").await;
        let query = "{ progresses(first: 1) { nodes { id } } }";
        let response = server.send("ann", query, json!({})).await.unwrap();
        assert_eq!(response["errors"][0]["extensions"]["code"], "INTERNAL_SERVER_ERROR", "{response}");
        database.execute("ALTER TABLE topaz_user RENAME TO gone_too").await;
        for path in ["/api/library-version", "/api/library-version-events"] {
            let request = http_client().get(server.url(path)).bearer_auth(token("bob"));
            assert_eq!(request.send().await.unwrap().status(), 500, "{path}");
        }
        let log = std::fs::read_to_string(log.path()).unwrap();
        let named = |message: &str, user: &str| {
            log.lines().filter(|line| line.contains(message) && line.contains(user)).count()
        };
        assert_eq!(named("an operation failed", "ann"), 1, "{log}");
        assert_eq!(named("request failed", "bob"), 2, "{log}");
    }
}
