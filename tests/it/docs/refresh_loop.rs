//! The loop that docs/concepts.md prints for clients, through everything that a page lives through.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    support::printed,
    support::test_app::{Db, TestApp, repository, soon, token, token_for},
    transports::clients::Client,
};

/// What a page loads: all that it shows, or what changed.
const WAYS: [&str; 2] = ["page", "changes"];

/// A page that runs the loop.
struct Page {
    client: Client,
    /// The head that it loaded last.
    head: String,
    titles: Vec<String>,
    /// What became of the changes in its outbox: the codes of their refusals.
    sent: Vec<Value>,
    /// The changes that it keeps because they were refused: the id and the code of the refusal.
    kept: Vec<(Value, Value)>,
    errors: usize,
    /// How often its browser gave a stream up.
    given_up: usize,
}

impl Page {
    fn open(way: &'static str, base: &str, token: &str) -> Self {
        Self {
            client: Client::run(way, &["refresh-run.mjs", way, base, token]),
            head: String::new(),
            titles: Vec::new(),
            sent: Vec::new(),
            kept: Vec::new(),
            errors: 0,
            given_up: 0,
        }
    }

    fn tell(&mut self, command: &Value) {
        self.client.renew(&command.to_string());
    }

    async fn step(&mut self) {
        let told = self.client.next().await;
        match told["event"].as_str() {
            Some("version") => told["head"].as_str().unwrap().clone_into(&mut self.head),
            Some("shows") => {
                self.titles = serde_json::from_value(told["titles"].clone()).unwrap();
            }
            Some("kept") => self.kept.push((told["id"].clone(), told["code"].clone())),
            Some("sent") => self.sent.push(told["refusal"].clone()),
            Some("error") => self.errors += 1,
            Some("given up") => self.given_up += 1,
            _ => panic!("{}: {told}", self.client.name),
        }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let steps = async {
            while !holds(self) {
                self.step().await;
            }
        };
        soon(what, steps).await;
    }

    async fn until_head(&mut self, head: &str) {
        self.until(head, |page| page.head == head).await;
    }
}

#[test]
fn the_docs_print_the_loop_that_is_tested() {
    let file = fs::read_to_string(repository().join("docs/examples/refresh.mjs")).unwrap();
    assert_eq!(printed::blocks("docs/concepts.md", "js"), [file]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_ends_on_the_current_version_and_loads_a_few_times_a_second_at_most() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let mut pages = WAYS.map(|way| Page::open(way, &app.base, &token("ann")));
    for page in &mut pages {
        page.until_head(&ann.head_at(1).await).await;
    }
    let began = Instant::now();
    for _ in 2..=40 {
        ann.add("A").await;
    }
    let head = ann.head_at(40).await;
    for page in &mut pages {
        let mut loads = 0;
        while page.head != head {
            page.step().await;
            loads += 1;
        }
        // A load tells two things; the pause between two loads is 125 ms at the least.
        let most = 2 * (2 + began.elapsed().as_millis() / 125);
        assert!(loads <= most, "{loads} in {:?}", began.elapsed());
        assert_eq!((page.titles.len(), page.errors), (39, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_follows_a_server_that_was_restored_and_loses_nothing_in_its_outbox() {
    for has_new_epoch in [true, false] {
        let mut app = TestApp::start(Db::Sqlite).await;
        let made = app.user("ann").add("A").await;
        app.stop().await;
        let backup = app.db.copy(Db::Sqlite).await;
        let app = app.restart(&[]).await;
        let ann = app.user("ann");
        for title in ["B", "C", "D"] {
            ann.add(title).await;
        }
        let base = ann.head().await;
        let mut pages = WAYS.map(|way| Page::open(way, &app.base, &token("ann")));
        for page in &mut pages {
            page.until_head(&base).await;
            assert_eq!(page.titles, ["A", "B", "C", "D"]);
        }
        let mut app = app;
        app.stop().await;
        for (page, chapter) in pages.iter_mut().zip([7, 8]) {
            let id = &made["progress"]["id"];
            page.tell(&json!({"send": {"id": id, "currentChapter": chapter, "base": base, "idempotencyKey": page.client.name}}));
            page.until("an attempt", |page| page.errors > 0).await;
        }
        let address = app.base.strip_prefix("http://").unwrap().to_owned();
        let restored = TestApp::start_on(backup, &[]).await;
        if has_new_epoch {
            restored.library.begin_epoch(None).await.unwrap();
        }
        restored.user("ann").add("after").await;
        let mut old = restored;
        old.stop().await;
        let db = old.db.shared();
        let listener = std::net::TcpListener::bind(address).unwrap();
        let app = TestApp::start_at(listener, db, &[]).await;
        for page in &mut pages {
            page.until("its change is answered", |page| !page.sent.is_empty())
                .await;
            assert_eq!(
                page.sent,
                ["CONFLICT"],
                "it is told, and not made on what it does not know"
            );
        }
        app.user("ann").add("later").await;
        for page in &mut pages {
            page.until("what was refused is kept", |page| {
                page.kept == [(made["progress"]["id"].clone(), json!("CONFLICT"))]
            })
            .await;
            page.until("what was restored is shown", |page| {
                page.titles == ["A", "after", "later"]
            })
            .await;
            page.until_head(&app.user("ann").head().await).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_starts_afresh_where_its_history_is_purged_and_sends_what_it_kept() {
    let mut app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let (kept, gone) = (ann.add("A").await, ann.add("B").await);
    let mut page = Page::open("changes", &app.base, &token("ann"));
    page.until_head(&ann.head().await).await;
    let other = TestApp::start_on(app.db.shared(), &[]).await;
    app.stop().await;
    page.tell(&json!({"send": {"id": kept["progress"]["id"], "currentChapter": 7, "idempotencyKey": "k"}}));
    page.until("an attempt", |page| page.errors > 0).await;
    other
        .user("ann")
        .delete_progress(&gone["progress"]["id"])
        .await;
    other.user("ann").add("C").await;
    let (history, receipts) = (Duration::ZERO, Duration::from_hours(1));
    let retention = library_sync::library::Retention { history, receipts };
    other.library.purge(retention).await.unwrap();
    let app = app.restart(&[]).await;
    page.until("what it kept is made", |page| page.sent == [Value::Null])
        .await;
    page.until_head(&app.user("ann").head().await).await;
    assert_eq!(page.titles, ["A", "C"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_stays_current_while_a_change_cannot_be_sent() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let mut page = Page::open("page", &app.base, &token("ann"));
    page.until_head(&ann.head_at(1).await).await;
    page.tell(&json!({"send": {"fails": true}}));
    page.until("an attempt", |page| page.errors > 0).await;
    ann.add("A").await;
    page.until_head(&ann.head_at(2).await).await;
    assert_eq!(page.titles, ["A"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_goes_on_when_its_session_is_renewed() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let mut page = Page::open("page", &app.base, &token_for("ann", Duration::from_secs(6)));
    page.until_head(&app.user("ann").head_at(1).await).await;
    page.until("its stream has ended and is refused", |page| {
        page.given_up > 0
    })
    .await;
    app.user("ann").add("A").await;
    page.tell(&json!({"token": token("ann")}));
    page.until_head(&app.user("ann").head_at(2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_asks_a_replica_that_lags_a_few_times_a_second_at_most() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let mut page = Page::open("lagging", &app.base, &token("ann"));
    page.until_head(&ann.head_at(1).await).await;
    ann.add("A").await;
    let (began, mut loads) = (Instant::now(), 0);
    let head = ann.head_at(2).await;
    while page.head != head {
        let told = timeout(Duration::from_secs(20), page.step()).await;
        told.expect("a load");
        loads += 1;
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "it lagged: {took:?}");
    assert!(loads <= 8, "{loads} loads in {took:?}");
}
