//! `libraryEvents` carries the changed kinds and the origin device.

use reqwest::Response;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::{
    support::socket::Socket,
    support::test_app::{TestApp, TestUser, on_each_database, soon},
};

/// The transport of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Sse,
    Multipart,
    Websocket,
}

/// An open `libraryEvents`.
pub struct Events(Source);

enum Source {
    Http(By, Response, String),
    Socket(Socket),
}

impl Events {
    pub async fn open(user: &TestUser<'_>) -> Self {
        Self::open_by(By::Sse, user).await
    }

    pub async fn open_by(by: By, user: &TestUser<'_>) -> Self {
        let query =
            "subscription { libraryEvents { kind version epoch changed device { id name } at } }";
        let accept = match by {
            By::Sse => "text/event-stream",
            By::Multipart => "multipart/mixed;boundary=graphql;subscriptionSpec=1.0",
            By::Websocket => {
                let mut socket = Socket::of(user.app, &user.token).await;
                socket.subscribe("e", query).await;
                return Self(Source::Socket(socket));
            }
        };
        let request = user
            .app
            .http
            .post(user.app.url("/graphql"))
            .bearer_auth(&user.token)
            .header("accept", accept)
            .json(&json!({"query": query}));
        let response = soon("the stream opens", request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self(Source::Http(by, response, String::new()))
    }

    async fn next(&mut self) -> Value {
        let (by, response, rest) = match &mut self.0 {
            Source::Socket(socket) => {
                return socket.next().await["payload"]["data"]["libraryEvents"].take();
            }
            Source::Http(by, response, rest) => (by, response, rest),
        };
        let (end, begin) = match by {
            By::Multipart => ("\r\n--graphql", "\r\n\r\n"),
            _ => ("\n\n", "data: "),
        };
        loop {
            if let Some((piece, after)) = rest.split_once(end) {
                let json = piece.split_once(begin).map(|(_, json)| json.to_owned());
                *rest = after.to_owned();
                let Some(json) = json else { continue };
                let mut response: Value = serde_json::from_str(&json).unwrap();
                if let Some(payload) = response.get_mut("payload") {
                    response = payload.take();
                }
                if response != json!({}) {
                    return response["data"]["libraryEvents"].take();
                }
                continue;
            }
            let chunk = soon("an event", response.chunk())
                .await
                .unwrap()
                .expect("the stream continues");
            rest.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event, except heartbeats.
    pub async fn next_change(&mut self) -> Value {
        soon("a change event", async {
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
    async fn the_current_version_comes_first_and_then_each_change_with_its_kinds_and_device(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let mut events = Events::open(&ann).await;
        let connected = events.next_change().await;
        assert_eq!((&connected["kind"], &connected["version"], &connected["changed"]), (&json!("CONNECTED"), &json!(1), &json!([])));

        let phone = json!({"id": "phone-1", "name": "Ann's phone"});
        let tag = json!({"name": "t", "device": phone});
        ann.mutate("createTag", "CreateLabelInput", tag, "tag { id }").await;
        let event = events.next_change().await;
        assert_eq!((&event["kind"], &event["version"]), (&json!("CHANGED"), &json!(2)));
        assert_eq!((&event["changed"], &event["device"]), (&json!(["TAG"]), &phone));
        assert_eq!(event["epoch"], connected["epoch"]);

        ann.add("A").await;
        let event = events.next_change().await;
        assert_eq!((&event["changed"], &event["device"]), (&json!(["STORY", "PROGRESS"]), &Value::Null));
    }

    async fn every_mutation_sends_an_event_with_its_device_and_kinds(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let mut events = Events::open(&ann).await;
        assert_eq!(events.next_change().await["kind"], "CONNECTED");
        let id = || json!(uuid::Uuid::now_v7());
        let (story, progress, tag, fandom) = (id(), id(), id(), id());
        let entry = json!({"title": "B", "url": "https://example.org/b", "tags": ["new"], "fandoms": ["new"]});
        for (n, (mutation, input_type, input, kinds)) in [
            ("createTag", "CreateLabelInput", json!({"id": tag, "name": "t"}), json!(["TAG"])),
            ("createFandom", "CreateLabelInput", json!({"id": fandom, "name": "f"}), json!(["FANDOM"])),
            ("createStoryWithProgress", "CreateStoryWithProgressInput",
                json!({"title": "A", "url": "https://example.org/a", "storyId": story, "progressId": progress, "tagIds": [tag], "fandomIds": [fandom]}),
                json!(["STORY", "PROGRESS"])),
            ("updateStoryWithRelations", "UpdateStoryWithRelationsInput", json!({"id": story, "title": "C"}), json!(["STORY"])),
            ("updateProgress", "UpdateProgressInput", json!({"id": progress, "currentChapter": 2}), json!(["PROGRESS"])),
            ("renameTag", "RenameLabelInput", json!({"id": tag, "name": "u"}), json!(["TAG"])),
            ("renameFandom", "RenameLabelInput", json!({"id": fandom, "name": "g"}), json!(["FANDOM"])),
            ("deleteTag", "DeleteLabelInput", json!({"id": tag}), json!(["STORY", "TAG"])),
            ("deleteFandom", "DeleteLabelInput", json!({"id": fandom}), json!(["STORY", "FANDOM"])),
            ("deleteProgress", "DeleteProgressInput", json!({"id": progress}), json!(["STORY", "PROGRESS"])),
            ("importLibrary", "ImportLibraryInput", json!({"entries": [entry]}), json!(["STORY", "PROGRESS", "TAG", "FANDOM"])),
        ].into_iter().enumerate() {
            let device = json!({"id": format!("device-{n}"), "name": "Ann's"});
            let mut input = input;
            input["device"] = device.clone();
            let made = ann.mutate(mutation, input_type, input, "").await;
            assert_eq!(made["refusal"], Value::Null, "{mutation}");
            let event = events.next_change().await;
            assert_eq!((&event["kind"], &event["version"]), (&json!("CHANGED"), &made["libraryVersion"]), "{mutation}");
            assert_eq!((&event["changed"], &event["device"]), (&kinds, &device), "{mutation}");
        }
    }

    async fn a_version_whose_change_cannot_be_read_is_still_sent(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "100ms"]).await;
        let ann = app.user("ann");
        let mut events = Events::open(&ann).await;
        assert_eq!(events.next_change().await["kind"], "CONNECTED");
        let direct = app.db.connect().await;
        for sql in ["ALTER TABLE topaz_write RENAME TO topaz_gone", "UPDATE topaz_user SET library_version = 2"] {
            direct.execute_unprepared(sql).await.unwrap();
        }
        let event = events.next_change().await;
        assert_eq!((&event["kind"], &event["version"], &event["device"]), (&json!("CHANGED"), &json!(2), &Value::Null));
        assert_eq!(event["changed"], json!(["STORY", "PROGRESS", "TAG", "FANDOM"]));
        let rename = "ALTER TABLE topaz_gone RENAME TO topaz_write";
        direct.execute_unprepared(rename).await.unwrap();
        ann.create_tag("t").await;
        assert_eq!(events.next_change().await["changed"], json!(["TAG"]), "the stream continues");
    }

    async fn a_heartbeat_repeats_the_version(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "100ms"]).await;
        let ann = app.user("ann");
        let mut events = Events::open(&ann).await;
        assert_eq!(events.next().await["kind"], "CONNECTED");
        let heartbeat = events.next().await;
        assert_eq!((&heartbeat["kind"], &heartbeat["version"]), (&json!("HEARTBEAT"), &json!(1)));
    }

    async fn a_coalesced_event_of_several_devices_names_none(db: Db) {
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
        assert_eq!(changed(0).await, None, "nothing is known of an unknown version");
    }
}
