//! What `viewer { devices }` lists, and the mutations of a device.

use serde_json::{Value, json};

use crate::{
    devices::{check, device, devices, until},
    support::{
        test_app::{TestApp, TestUser, on_each_database},
        transport::Transport,
    },
};

const RENAME: &str = "mutation ($input: RenameDeviceInput!) { renameDevice(input: $input) { device { id name } \
    refusal { code } } }";

const FORGET: &str = "mutation ($input: ForgetDeviceInput!) { forgetDevice(input: $input) { forgottenDeviceId \
    refusal { code } } }";

async fn rename(user: &TestUser<'_>, device: &str, name: Value) -> Value {
    let input = json!({"input": {"device": device, "name": name}});
    user.ask(RENAME, input).await["renameDevice"].take()
}

async fn forget(user: &TestUser<'_>, device: &str) -> Value {
    let input = json!({"input": {"device": device}});
    user.ask(FORGET, input).await["forgetDevice"].take()
}

fn ids(devices: &[Value]) -> Vec<&str> {
    devices
        .iter()
        .map(|device| device["id"].as_str().unwrap())
        .collect()
}

on_each_database! {
    async fn a_device_is_listed_with_what_its_requests_say(db: Db) {
        let app = TestApp::start_with(db, &["--node-name", "one"]).await;
        let ann = app.user("ann");
        ann.create_tag("a tag").await;
        let (head, base) = (ann.head().await, ann.head_at(1).await);
        assert!(devices(&ann).await.is_empty(), "no device has named itself");
        let status = check(&app, &ann.token, &[
            ("x-device-id", "phone"),
            ("x-library-applied", &base),
            ("x-library-pending", "3;1763809200000;UNAVAILABLE"),
            ("x-library-client", "my-app/2.1"),
            ("user-agent", "Mozilla/5.0 (Linux; Android 10; K) Gecko/1 Firefox/145.0"),
        ]).await;
        assert_eq!(status, 200);
        let phone = device(&ann, "phone").await;
        for (member, value) in [
            ("platform", json!("Firefox on Android")),
            ("client", json!("my-app/2.1")),
            ("appliedVersion", json!(1)),
            ("appliedHead", json!(base)),
            ("behind", json!(1)),
            ("pending", json!({"count": 3, "oldestAt": "2025-11-22T11:00:00Z", "error": "UNAVAILABLE"})),
            ("streams", json!([])),
            ("pushEndpoint", Value::Null),
            ("verdict", json!("ASLEEP")),
        ] {
            assert_eq!(phone[member], value, "{member}: {phone}");
        }
        // What a request does not say stays.
        check(&app, &ann.token, &[("x-device-id", "phone"), ("x-library-applied", &head)]).await;
        let phone = device(&ann, "phone").await;
        assert_eq!((&phone["behind"], &phone["pending"]["count"]), (&json!(0), &json!(3)));
        assert_eq!((&phone["verdict"], &phone["client"]), (&json!("UP_TO_DATE"), &json!("my-app/2.1")));
        // Only to its user.
        assert!(devices(&app.user("bob")).await.is_empty());
    }

    async fn an_open_stream_of_each_transport_is_listed_until_it_ends(db: Db) {
        let app = TestApp::start_with(db, &["--node-name", "one"]).await;
        let ann = app.user("ann");
        let bearer = format!("Bearer {}", ann.token);
        let mut streams = Vec::new();
        for transport in Transport::ALL {
            let stream = transport.open_with(&app, "?device=phone&pending=0", &[("Authorization", &bearer)]).await;
            let mut stream = stream.unwrap();
            stream.next().await;
            streams.push(stream);
        }
        let phone = device(&ann, "phone").await;
        let listed = phone["streams"].as_array().unwrap();
        let mut transports: Vec<_> = listed.iter().map(|stream| stream["transport"].as_str().unwrap()).collect();
        transports.sort_unstable();
        assert_eq!(transports, ["events", "multipart", "sse", "websocket"]);
        assert!(listed.iter().all(|stream| stream["node"] == "one" && stream["openedAt"].is_string()));
        drop(streams);
        until(&ann, "phone", "its streams have ended", |phone| phone["streams"] == json!([])).await;
    }

    async fn a_device_that_makes_a_change_is_listed_by_its_name(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = "mutation { createTag(input: {name: \"a\", device: {id: \"laptop\", name: \"Laptop\"}}) { libraryVersion } }";
        ann.ask(tag, json!({})).await;
        let laptop = device(&ann, "laptop").await;
        assert_eq!((&laptop["name"], &laptop["verdict"]), (&json!("Laptop"), &json!("NEVER_SEEN")));
        assert!(laptop["lastSeenAt"].is_string() && laptop["behind"].is_null());
    }

    async fn a_device_keeps_the_name_that_its_user_gives_it(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let tag = "mutation ($name: String!) { createTag(input: {name: $name, device: {id: \"d\", name: \"Laptop\"}}) \
            { libraryVersion } }";
        ann.ask(tag, json!({"name": "a"})).await;
        for user in [&ann, &bob] {
            let refused = rename(user, "other", json!("Phone")).await;
            assert_eq!(refused["refusal"]["code"], "NOT_FOUND");
        }
        assert_eq!(rename(&bob, "d", json!("Bob's")).await["refusal"]["code"], "NOT_FOUND");
        assert_eq!(rename(&ann, "d", json!("Kitchen")).await["device"]["name"], "Kitchen");
        ann.ask(tag, json!({"name": "b"})).await;
        assert_eq!(device(&ann, "d").await["name"], "Kitchen");
        assert_eq!(rename(&ann, "d", Value::Null).await["device"]["name"], "Laptop");
        assert_eq!(ann.refused(RENAME, json!({"input": {"device": "d", "name": ""}})).await, "BAD_USER_INPUT");
    }

    async fn a_forgotten_device_is_gone_and_its_history_stays(db: Db) {
        let app = TestApp::start_with(db, &["--device-interval", "0s"]).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let tag = "mutation { createTag(input: {name: \"a\", device: {id: \"d\", name: \"Laptop\"}}) { libraryVersion } }";
        ann.ask(tag, json!({})).await;
        assert_eq!(forget(&bob, "d").await["refusal"]["code"], "NOT_FOUND");
        let bearer = format!("Bearer {}", ann.token);
        let stream = Transport::Events.open_with(&app, "?device=d", &[("Authorization", &bearer)]).await;
        assert_eq!(forget(&ann, "d").await["forgottenDeviceId"], "d");
        assert!(devices(&ann).await.is_empty());
        // The end of its stream does not bring it back.
        drop(stream);
        let history = "{ history(first: 5) { nodes { device { id name } } } }";
        let history = ann.ask(history, json!({})).await;
        assert_eq!(history["history"]["nodes"][0]["device"]["name"], "Laptop");
        assert!(devices(&ann).await.is_empty());
        assert_eq!(forget(&ann, "d").await["refusal"]["code"], "NOT_FOUND");
        // Its next request does.
        check(&app, &ann.token, &[("x-device-id", "d")]).await;
        assert_eq!(ids(&devices(&ann).await), ["d"]);
    }

    async fn an_invalid_report_is_refused_and_changes_nothing(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        for header in [
            ("x-library-pending", "many"),
            ("x-library-clock", "noon"),
            ("x-library-applied", "9"),
        ] {
            assert_eq!(check(&app, &ann.token, &[("x-device-id", "phone"), header]).await, 400, "{header:?}");
        }
        assert!(devices(&ann).await.is_empty());
    }
}
