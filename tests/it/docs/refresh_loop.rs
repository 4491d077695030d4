//! The refresh loop that docs/concepts.md documents for clients, through outages, restores, purges and renewed sessions.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::{
    support::printed,
    support::test_app::{Db, TestApp, repository, soon, token, token_for},
    transports::clients::Client,
};

/// What a page loads: everything it displays, or only the changes.
const MODES: [&str; 2] = ["page", "changes"];

/// A page that runs the loop.
struct Page {
    client: Client,
    /// The head that it loaded last.
    head: String,
    titles: Vec<String>,
    /// The refusal codes of the sent changes of its outbox.
    sent: Vec<Value>,
    /// The changes that it keeps because they were refused: id and refusal code.
    kept: Vec<(Value, Value)>,
    errors: usize,
    /// How often its browser closed a stream permanently.
    given_up: usize,
}

impl Page {
    fn open(mode: &'static str, base: &str, token: &str) -> Self {
        Self {
            client: Client::run(mode, &["refresh-run.mjs", mode, base, token]),
            head: String::new(),
            titles: Vec::new(),
            sent: Vec::new(),
            kept: Vec::new(),
            errors: 0,
            given_up: 0,
        }
    }

    fn send(&mut self, command: &Value) {
        self.client.renew(&command.to_string());
    }

    async fn step(&mut self) {
        let event = self.client.next().await;
        match event["event"].as_str() {
            Some("version") => event["head"].as_str().unwrap().clone_into(&mut self.head),
            Some("shows") => {
                self.titles = serde_json::from_value(event["titles"].clone()).unwrap();
            }
            Some("kept") => self.kept.push((event["id"].clone(), event["code"].clone())),
            Some("sent") => self.sent.push(event["refusal"].clone()),
            Some("error") => self.errors += 1,
            Some("erased") => {}
            Some("given up") => self.given_up += 1,
            _ => panic!("{}: {event}", self.client.name),
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
fn the_documented_loop_is_the_tested_one() {
    let file = fs::read_to_string(repository().join("docs/examples/refresh.mjs")).unwrap();
    assert_eq!(printed::blocks("docs/concepts.md", "js"), [file]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_reaches_the_newest_version_with_a_few_loads_a_second() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let mut pages = MODES.map(|mode| Page::open(mode, &app.base, &token("ann")));
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
        // A load prints two events; the delay between two loads is at least 125 ms.
        let most = 2 * (2 + began.elapsed().as_millis() / 125);
        assert!(loads <= most, "{loads} in {:?}", began.elapsed());
        assert_eq!((page.titles.len(), page.errors), (39, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_resets_after_a_restore_and_keeps_its_outbox() {
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
        let mut pages = MODES.map(|mode| Page::open(mode, &app.base, &token("ann")));
        for page in &mut pages {
            page.until_head(&base).await;
            assert_eq!(page.titles, ["A", "B", "C", "D"]);
        }
        let mut app = app;
        app.stop().await;
        for (page, chapter) in pages.iter_mut().zip([7, 8]) {
            let id = &made["progress"]["id"];
            page.send(&json!({"send": {"id": id, "currentChapter": chapter, "base": base, "idempotencyKey": page.client.name}}));
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
            page.until("its change has a response", |page| !page.sent.is_empty())
                .await;
            assert_eq!(
                page.sent,
                ["CONFLICT"],
                "it is reported, and not written over unknown changes"
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
async fn a_page_empties_its_outbox_after_an_erasure() {
    let mut app = TestApp::start(Db::Sqlite).await;
    let old = app.user("ann").add("Old").await;
    let mut pages = MODES.map(|mode| Page::open(mode, &app.base, &token("ann")));
    for page in &mut pages {
        page.until_head(&app.user("ann").head().await).await;
    }
    app.stop().await;
    let update = |made: &Value, key: &str| {
        let id = &made["progress"]["id"];
        json!({"send": {"id": id, "currentChapter": 7, "idempotencyKey": key}})
    };
    for page in &mut pages {
        page.send(&update(&old, page.client.name));
        page.until("an attempt", |page| page.errors > 0).await;
    }
    let other = TestApp::start_on(app.db.shared(), &[]).await;
    let ann = library_sync::version::UserId::new("ann").unwrap();
    assert!(
        other
            .library
            .erase_account(&ann, None)
            .await
            .unwrap()
            .is_some()
    );
    let new = other.user("ann").add("New").await;
    drop(other);
    let _app = app.restart(&[]).await;
    for page in &mut pages {
        page.until("the new library is shown", |page| page.titles == ["New"])
            .await;
        page.send(&update(
            &new,
            &format!("{} of the new library", page.client.name),
        ));
        page.until("its change has a response", |page| !page.sent.is_empty())
            .await;
        assert_eq!(page.sent, [Value::Null], "what was queued before is gone");
        assert_eq!(page.kept, []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_below_the_floor_resets_and_sends_its_outbox() {
    let mut app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let (kept, gone) = (ann.add("A").await, ann.add("B").await);
    let mut page = Page::open("changes", &app.base, &token("ann"));
    page.until_head(&ann.head().await).await;
    let other = TestApp::start_on(app.db.shared(), &[]).await;
    app.stop().await;
    page.send(&json!({"send": {"id": kept["progress"]["id"], "currentChapter": 7, "idempotencyKey": "k"}}));
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
    page.send(&json!({"send": {"fails": true}}));
    page.until("an attempt", |page| page.errors > 0).await;
    ann.add("A").await;
    page.until_head(&ann.head_at(2).await).await;
    assert_eq!(page.titles, ["A"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_continues_with_a_renewed_session() {
    let app = TestApp::start_with(Db::Sqlite, &["--jwt-leeway", "0s"]).await;
    let mut page = Page::open("page", &app.base, &token_for("ann", Duration::from_secs(6)));
    page.until_head(&app.user("ann").head_at(1).await).await;
    page.until("its stream has ended and is refused", |page| {
        page.given_up > 0
    })
    .await;
    app.user("ann").add("A").await;
    page.send(&json!({"token": token("ann")}));
    page.until_head(&app.user("ann").head_at(2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_polls_a_lagging_replica_a_few_times_a_second() {
    let app = TestApp::start(Db::Sqlite).await;
    let ann = app.user("ann");
    let mut page = Page::open("lagging", &app.base, &token("ann"));
    page.until_head(&ann.head_at(1).await).await;
    ann.add("A").await;
    let (began, mut loads) = (Instant::now(), 0);
    let head = ann.head_at(2).await;
    while page.head != head {
        let step = timeout(Duration::from_secs(20), page.step()).await;
        step.expect("a load");
        loads += 1;
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "it lagged: {took:?}");
    assert!(loads <= 8, "{loads} loads in {took:?}");
}
