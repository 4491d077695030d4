//! Wrong clocks: of one node among others, and of a server at its start.

use std::{fs, process::Stdio};

use serde_json::json;
use tempfile::NamedTempFile;

use crate::{
    support::test_app::{Db, TestApp, TestProcess, on_each_database, soon},
    support::transport::{StreamItem, Transport},
};

const MINT: &str = "mutation { createStreamTicket(input: {}) { ticket } }";

/// Waits until the log contains `text` `times` times.
async fn until_logged(log: &NamedTempFile, text: &str, times: usize) {
    soon(text, async {
        while fs::read_to_string(log.path())
            .unwrap()
            .matches(text)
            .count()
            < times
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn written_to(log: &NamedTempFile) -> Stdio {
    Stdio::from(log.reopen().unwrap())
}

on_each_database! {
    async fn a_server_that_starts_with_a_clock_a_year_ahead_purges_nothing(db: Db) {
        let mut app = TestApp::start(db).await;
        let ann = app.user("ann");
        let read = ann.add("A").await["progress"]["id"].take();
        ann.update_progress(json!({"id": read, "currentChapter": 7, "idempotencyKey": "k"})).await;
        ann.delete_progress(&ann.add("B").await["progress"]["id"]).await;
        app.stop().await;
        let log = NamedTempFile::new().unwrap();
        let flags = ["--purge-every", "100ms"];
        let _ahead = TestProcess::serve_by_clock("+365d", &app.db.url, &flags, written_to(&log)).await;
        match db {
            // SQLite has only this clock. A purge deletes tickets first, so at the second purge the first is complete.
            Db::Sqlite => for mark in ["one", "two"] {
                app.db.execute(&format!("INSERT INTO topaz_ticket (digest, user_id, expires_at, lapses_at) VALUES ('{mark}', 'ann', 1, 1)")).await;
                soon("a purge", async { while app.db.scalar::<i64>("SELECT count(*) FROM topaz_ticket").await > 0 {} }).await;
            },
            Db::Postgres => until_logged(&log, "nothing is purged while this machine's clock", 2).await,
        }
        for (table, rows) in [("tombstone", 2_i64), ("field_change", 1), ("receipt", 1), ("write", 4)] {
            let count = format!("SELECT count(*) FROM topaz_{table}");
            assert_eq!(app.db.scalar::<i64>(&count).await, rows, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_different_clocks_use_the_databases_clock_and_log_it() {
    let here = TestApp::start(Db::Postgres).await;
    here.user("ann").version().await;
    let mut version = 1;
    for offset in ["+300s", "-300s"] {
        let log = NamedTempFile::new().unwrap();
        let there = TestProcess::serve_by_clock(offset, &here.db.url, &[], written_to(&log)).await;
        until_logged(&log, "this machine's clock differs from the database's", 1).await;
        let create = r#"mutation { createTag(input: {name: "NAME"}) { libraryVersion } }"#;
        let create = create.replace("NAME", offset);
        let made = there.send("ann", &create, json!({})).await.unwrap();
        version += 1;
        assert_eq!(made["data"]["createTag"]["libraryVersion"], version);
        for (table, time) in [("tag", "created_at"), ("write", "written_at")] {
            let age = format!(
                "SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint - max({time})) / 1000 FROM topaz_{table}"
            );
            let age: i64 = here.db.scalar(&age).await;
            assert!((0..60).contains(&age), "{offset}: {age} s");
        }
        // A ticket expires at the same time on every node.
        let minted = there.send("ann", MINT, json!({})).await.unwrap();
        let ticket = &minted["data"]["createStreamTicket"]["ticket"];
        let query = format!("?ticket={}", ticket.as_str().unwrap());
        let opened = Transport::Events.open_with(&here, &query, &[]).await;
        assert_eq!(opened.unwrap().next().await, StreamItem::Version(version));
        let minted = here.user("ann").ask(MINT, json!({})).await;
        let ticket = minted["createStreamTicket"]["ticket"].as_str().unwrap();
        let events = there.url(&format!("/api/library-version-events?ticket={ticket}"));
        let opened = soon("a stream", here.http.get(events).send()).await;
        assert_eq!(opened.unwrap().status(), 200, "{offset}");
    }
}
