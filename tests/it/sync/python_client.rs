//! docs/examples/sync_client.py, written from docs/protocol.md alone: two devices of one user, through an outage,
//! a conflict and a restore.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::test_app::{Db, TestApp, token},
    transports::clients::Client,
};

/// A program that runs one device.
struct Device {
    client: Client,
    /// Its head, its displayed library, the length of its outbox, and its messages to the user.
    state: Value,
}

impl Device {
    fn start(name: &'static str, base: &str, folder: &TempDir) -> Self {
        let state = folder.path().join(name);
        let state = state.to_str().unwrap();
        let arguments = ["two-devices.py", base, &token("ann"), state, name];
        Self {
            client: Client::run_by("python3".into(), name, &arguments),
            state: Value::Null,
        }
    }

    fn call(&mut self, name: &str, arguments: &Value) {
        let command = json!({"call": name, "arguments": arguments});
        self.client.renew(&command.to_string());
    }

    /// Adds a story. Returns the id of its progress.
    async fn add(&mut self, title: &str) -> Value {
        let url = format!("https://example.org/{title}");
        self.call("add", &json!({"title": title, "url": url}));
        loop {
            let event = self.client.next().await;
            if event["event"] == "made" {
                return event["progress"].clone();
            }
            self.state = event;
        }
    }

    async fn until(&mut self, holds: impl Fn(&Value) -> bool) {
        while self.state["event"] != "state" || !holds(&self.state) {
            self.state = self.client.next().await;
        }
    }

    async fn until_shows(&mut self, shown: Value) {
        self.until(|state| state["shown"] == shown && state["outbox"] == 0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_in_python_survive_an_outage_a_conflict_and_a_restore() {
    let folder = TempDir::new().unwrap();
    let mut app = TestApp::start(Db::Sqlite).await;
    let address = app.base.strip_prefix("http://").unwrap().to_owned();
    let mut phone = Device::start("phone", &app.base, &folder);
    let mut laptop = Device::start("laptop", &app.base, &folder);
    let progress = phone.add("Emma").await;
    let both = json!({"Emma": [0, null]});
    phone.until_shows(both.clone()).await;
    laptop.until_shows(both).await;

    // An outage: each device changes its copy. Both write notes, and the phone adds a story.
    app.stop().await;
    let backup = app.db.copy(Db::Sqlite).await;
    phone.call(
        "update",
        &json!({"progress": progress, "notes": "by the phone"}),
    );
    let new = phone.add("Persuasion").await;
    phone.call("update", &json!({"progress": new, "currentChapter": 2}));
    phone.until(|state| state["outbox"] == 3).await;
    assert_eq!(
        phone.state["shown"]["Emma"],
        json!([0, "by the phone"]),
        "shown before it is sent"
    );
    let mut app = app.restart(&[]).await;
    let after = json!({"Emma": [0, "by the phone"], "Persuasion": [2, null]});
    phone.until_shows(after.clone()).await;
    laptop.until_shows(after.clone()).await;

    // A conflict: the laptop writes notes on a copy that is one change behind.
    app.stop().await;
    laptop.call(
        "update",
        &json!({"progress": progress, "notes": "by the laptop"}),
    );
    laptop.until(|state| state["outbox"] == 1).await;
    let elsewhere = TestApp::start_on(app.db.shared(), &[]).await;
    let by_tablet = json!({"id": progress, "notes": "by a tablet"});
    let made = elsewhere.user("ann").update_progress(by_tablet).await;
    assert_eq!(made["refusal"], Value::Null);
    drop(elsewhere);
    let mut app = app.restart(&[]).await;
    let conflict = json!(["updateProgress", "CONFLICT", "REJECTED"]);
    laptop
        .until(|state| state["reports"] == json!([conflict]))
        .await;
    let after = json!({"Emma": [0, "by a tablet"], "Persuasion": [2, null]});
    laptop.until_shows(after.clone()).await;
    phone.until_shows(after).await;

    // A restore: the backup lacks the second story and all notes. A change on the old copy is reported.
    app.stop().await;
    phone.call(
        "update",
        &json!({"progress": progress, "currentChapter": 9}),
    );
    phone.until(|state| state["outbox"] == 1).await;
    let restored = TestApp::start_on(backup, &[]).await;
    restored.library.begin_epoch(None).await.unwrap();
    let mut restored = restored;
    restored.stop().await;
    let listener = std::net::TcpListener::bind(address).unwrap();
    let _app = TestApp::start_at(listener, restored.db.shared(), &[]).await;
    phone
        .until(|state| state["reports"] == json!([conflict]))
        .await;
    for device in [&mut phone, &mut laptop] {
        device.until_shows(json!({"Emma": [0, null]})).await;
    }
    assert_eq!(phone.state["head"], laptop.state["head"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_in_python_empties_itself_after_an_erasure() {
    let folder = TempDir::new().unwrap();
    let mut app = TestApp::start(Db::Sqlite).await;
    let mut phone = Device::start("phone", &app.base, &folder);
    let progress = phone.add("Emma").await;
    phone.until_shows(json!({"Emma": [0, null]})).await;
    app.stop().await;
    phone.call(
        "update",
        &json!({"progress": progress, "notes": "never sent"}),
    );
    phone.until(|state| state["outbox"] == 1).await;
    let elsewhere = TestApp::start_on(app.db.shared(), &[]).await;
    let ann = library_sync::version::UserId::new("ann").unwrap();
    let erased = elsewhere.library.erase_account(&ann, None).await.unwrap();
    assert!(erased.is_some());
    drop(elsewhere);
    let app = app.restart(&[]).await;
    phone.until_shows(json!({})).await;
    assert_eq!(
        phone.state["reports"],
        json!([]),
        "nothing is left to decide"
    );
    let state = std::fs::read_to_string(folder.path().join("phone")).unwrap();
    assert!(
        !state.contains("never sent") && !state.contains("Emma"),
        "{state}"
    );
    // The user begins a new library.
    app.user("ann").add("Persuasion").await;
    phone.until_shows(json!({"Persuasion": [0, null]})).await;
    phone.add("Dracula").await;
    phone
        .until_shows(json!({"Persuasion": [0, null], "Dracula": [0, null]}))
        .await;
}
