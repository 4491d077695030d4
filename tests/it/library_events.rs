//! `libraryEvents` tells what changed, and on which device.

use serde_json::{Value, json};

use crate::test_app::{TestApp, TestUser, on_each_database, soon};

/// An open `libraryEvents`, as server-sent events.
pub struct Events {
    response: reqwest::Response,
    rest: String,
}

impl Events {
    pub async fn open(user: &TestUser<'_>) -> Self {
        let query =
            "subscription { libraryEvents { kind version epoch changed device { id name } at } }";
        let request = user
            .app
            .http
            .post(user.app.url("/graphql"))
            .bearer_auth(&user.token)
            .header("accept", "text/event-stream")
            .json(&json!({"query": query}));
        let response = soon("the stream opens", request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            response,
            rest: String::new(),
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let data = event
                    .lines()
                    .find_map(|line| line.strip_prefix("data:"))
                    .map(str::to_owned);
                self.rest = rest.to_owned();
                if let Some(data) = data.filter(|data| !data.trim().is_empty()) {
                    let answer: Value = serde_json::from_str(&data).unwrap();
                    return answer["data"]["libraryEvents"].clone();
                }
                continue;
            }
            let chunk = soon("an event", self.response.chunk())
                .await
                .unwrap()
                .expect("the stream goes on");
            self.rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event that is no heartbeat.
    pub async fn next_news(&mut self) -> Value {
        soon("news", async {
            loop {
                let event = self.next().await;
                if event["kind"] != "HEARTBEAT" {
                    return event;
                }
            }
        })
        .await
    }
}

on_each_database! {
    async fn the_present_version_comes_first_and_then_each_change_with_its_kinds_and_device(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let mut events = Events::open(&ann).await;
        let connected = events.next_news().await;
        assert_eq!((&connected["kind"], &connected["version"], &connected["changed"]), (&json!("CONNECTED"), &json!(1), &json!([])));

        let phone = json!({"id": "phone-1", "name": "Ann's phone"});
        let tag = json!({"name": "t", "device": phone});
        ann.mutate("createTag", "CreateLabelInput", tag, "tag { id }").await;
        let event = events.next_news().await;
        assert_eq!((&event["kind"], &event["version"]), (&json!("CHANGED"), &json!(2)));
        assert_eq!((&event["changed"], &event["device"]), (&json!(["TAG"]), &phone));
        assert_eq!(event["epoch"], connected["epoch"]);

        ann.add("A").await;
        let event = events.next_news().await;
        assert_eq!((&event["changed"], &event["device"]), (&json!(["STORY", "PROGRESS"]), &Value::Null));
    }

    async fn a_heartbeat_says_the_version_again(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "100ms"]).await;
        let ann = app.user("ann");
        let mut events = Events::open(&ann).await;
        assert_eq!(events.next().await["kind"], "CONNECTED");
        let heartbeat = events.next().await;
        assert_eq!((&heartbeat["kind"], &heartbeat["version"]), (&json!("HEARTBEAT"), &json!(1)));
    }

    async fn changes_of_several_devices_told_as_one_name_none(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let user = library_sync::version::UserId::new("ann").unwrap();
        for device in ["phone", "phone", "laptop"] {
            let tag = json!({"name": uuid::Uuid::now_v7(), "device": {"id": device}});
            ann.mutate("createTag", "CreateLabelInput", tag, "tag { id }").await;
        }
        let head = app.library.head(&user).await.unwrap();
        let changed = async |after| {
            let after = library_sync::version::Version::new(after);
            app.library.changed(&user, after, head).await.unwrap()
        };
        assert_eq!(changed(1).await.unwrap().device, None);
        assert_eq!(changed(3).await.unwrap().device.unwrap().id(), "laptop");
        assert_eq!(changed(0).await, None, "of what is not known, nothing is told");
    }
}
