//! The registration of endpoints.

use serde_json::{Value, json};

use crate::{
    push::fake_push_service::{
        FakePushService, REGISTER, UNREGISTER, change, input, no_message_follows, sleep_device,
        start,
    },
    support::test_app::{Db, TestApp, TestDatabase, TestUser, on_each_database},
};

const ENDPOINTS: &str = "{ viewer { pushEndpoints { deviceId pace expiresAt } } libraryVersion }";

async fn app(db: Db) -> (TestApp, FakePushService) {
    let service = FakePushService::start().await;
    let app = start(TestDatabase::new(db).await, &service, &[]).await;
    (app, service)
}

/// The ids of the user's devices with an endpoint.
async fn devices(user: &TestUser<'_>) -> Vec<String> {
    let answer = user.ask(ENDPOINTS, json!({})).await;
    let endpoints = answer["viewer"]["pushEndpoints"].as_array().unwrap().iter();
    let id = |endpoint: &Value| endpoint["deviceId"].as_str().unwrap().to_owned();
    endpoints.map(id).collect()
}

async fn register(user: &TestUser<'_>, input: Value) -> Value {
    let mut made = user.ask(REGISTER, json!({"input": input})).await;
    made["registerPushEndpoint"].take()
}

on_each_database! {
    async fn an_address_belongs_to_one_user_and_a_device_has_one_endpoint(db: Db) {
        let (app, service) = app(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let (one, two) = (service.subscribe("one"), service.subscribe("two"));
        let made = register(&ann, input(&one, "phone", "HOURLY")).await;
        assert_eq!((&made["libraryVersion"], &made["endpoint"]["pace"]), (&json!(1), &json!("HOURLY")));
        // A renewed subscription replaces the one before, and keeps its pace.
        let mut renewed = input(&two, "phone", "DAILY");
        renewed["pace"] = Value::Null;
        let made = register(&ann, renewed).await;
        assert_eq!(made["endpoint"]["pace"], "HOURLY");
        assert_eq!(devices(&ann).await, ["phone"]);
        // The browser has a new device id.
        register(&ann, input(&two, "tablet", "DAILY")).await;
        assert_eq!(devices(&ann).await, ["tablet"]);
        // Another user signed in there.
        register(&bob, input(&two, "tablet", "DAILY")).await;
        assert_eq!((devices(&ann).await, devices(&bob).await), (vec![], vec!["tablet".to_owned()]));
        assert_eq!((ann.version().await, bob.version().await), (1, 1));
    }

    async fn a_device_with_a_new_endpoint_is_listed_with_its_name(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let mut new = input(&service.subscribe("one"), "phone", "HOURLY");
        new["device"]["name"] = json!("My phone");
        register(&ann, new).await;
        let devices = ann.ask("{ viewer { devices { id name } } }", json!({})).await;
        assert_eq!(devices["viewer"]["devices"], json!([{"id": "phone", "name": "My phone"}]));
    }

    async fn a_user_has_at_most_20_endpoints(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let subscriptions: Vec<_> = (0..21).map(|n| service.subscribe(&format!("d{n}"))).collect();
        let registered = subscriptions.iter().map(|one| register(&ann, input(one, &one.name, "DAILY")));
        let made = futures_util::future::join_all(registered).await;
        let refused: Vec<_> = made.iter().filter(|made| !made["refusal"].is_null()).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0]["refusal"]["code"], "LIMIT_REACHED");
        let held = devices(&ann).await;
        assert_eq!(held.len(), 20);
        // A known one can be renewed, and another user has a limit of their own.
        let known = subscriptions.iter().find(|one| one.name == held[3]).unwrap();
        assert!(register(&ann, input(known, &held[3], "OFF")).await["refusal"].is_null());
        let bob = app.user("bob");
        assert!(register(&bob, input(&service.subscribe("bobs"), "bobs", "OFF")).await["refusal"].is_null());
    }

    async fn an_endpoint_is_removed_by_its_owner_alone(db: Db) {
        let (app, service) = app(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let one = service.subscribe("one");
        register(&ann, input(&one, "phone", "DAILY")).await;
        let removed = async |user: &TestUser<'_>, input: Value| {
            user.ask(UNREGISTER, json!({"input": input})).await["unregisterPushEndpoint"]["removed"].take()
        };
        for input in [json!({"endpoint": one.endpoint}), json!({"device": "phone"})] {
            assert_eq!(removed(&bob, input).await, false);
        }
        assert_eq!(devices(&ann).await, ["phone"]);
        assert_eq!(removed(&ann, json!({"endpoint": one.endpoint})).await, true);
        assert_eq!(removed(&ann, json!({"device": "phone"})).await, false);
    }

    async fn an_endpoint_to_remove_matches_all_given_fields(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let (one, two) = (service.subscribe("one"), service.subscribe("two"));
        register(&ann, input(&one, "phone", "DAILY")).await;
        register(&ann, input(&two, "tablet", "DAILY")).await;
        let removed = async |input: Value| {
            ann.ask(UNREGISTER, json!({"input": input})).await["unregisterPushEndpoint"]["removed"].take()
        };
        assert_eq!(removed(json!({"endpoint": one.endpoint, "device": "tablet"})).await, false);
        assert_eq!(devices(&ann).await, ["phone", "tablet"]);
        for input in [
            json!({}),
            json!({"endpoint": null, "device": null}),
            json!({"endpoint": ""}),
            json!({"endpoint": "one"}),
            json!({"device": ""}),
        ] {
            assert_eq!(ann.refused(UNREGISTER, json!({"input": input})).await, "BAD_USER_INPUT", "{input}");
        }
        assert_eq!(removed(json!({"endpoint": one.endpoint, "device": "phone"})).await, true);
        assert_eq!(removed(json!({"device": "tablet"})).await, true);
        assert!(devices(&ann).await.is_empty());
    }

    async fn an_endpoint_has_one_row_for_all_spellings_of_its_address(db: Db) {
        let (app, service) = app(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let one = service.subscribe("one");
        let path = format!("{}/./x/../push/one", service.base).replace("http", "HTTP");
        for (user, endpoint) in [(&ann, &one.endpoint), (&ann, &path), (&bob, &path), (&ann, &one.endpoint)] {
            let mut input = input(&one, "phone", "DAILY");
            input["endpoint"] = json!(endpoint);
            assert!(register(user, input).await["refusal"].is_null());
            let rows = "SELECT count(*) FROM topaz_push_endpoint";
            assert_eq!(app.db.scalar::<i64>(rows).await, 1, "{endpoint}");
        }
        let removed = ann.ask(UNREGISTER, json!({"input": {"endpoint": path}})).await;
        assert_eq!(removed["unregisterPushEndpoint"]["removed"], true);
    }

    async fn a_registration_again_reports_the_head_of_the_screen(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let phone = service.subscribe("phone");
        let input = |applied: Value| {
            let mut input = input(&phone, "phone", "EVERY_CHANGE");
            input["applied"] = applied;
            input
        };
        let known = async || -> i32 {
            app.db.scalar("SELECT known_version FROM topaz_push_endpoint").await
        };
        register(&ann, input(Value::Null)).await;
        change(&ann, "laptop", "a").await;
        let (old, head) = (ann.head_at(1).await, ann.head().await);
        // An older report takes nothing back, and none keeps what is known.
        for (applied, version) in [(Value::Null, 1), (json!(head), 2), (json!(old), 2), (Value::Null, 2)] {
            register(&ann, input(applied.clone())).await;
            assert_eq!(known().await, version, "{applied}");
        }
        sleep_device(&app.db, "phone").await;
        no_message_follows().await;
        assert_eq!(service.messages().len(), 0);
        // A head that the user has not reached counts as the current one.
        register(&ann, input(json!(ann.head_at(99).await))).await;
        assert_eq!(known().await, 2);
        change(&ann, "laptop", "b").await;
        sleep_device(&app.db, "phone").await;
        assert_eq!(service.until("phone", 1).await[0].version(), 3);
    }

    async fn a_renewed_subscription_keeps_what_the_device_is_known_to_have_and_its_pace(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let (one, two) = (service.subscribe("one"), service.subscribe("two"));
        register(&ann, input(&one, "phone", "HOURLY")).await;
        sleep_device(&app.db, "phone").await;
        change(&ann, "laptop", "a").await;
        service.until("one", 1).await;
        change(&ann, "laptop", "b").await;
        // The worker renews it while the app is closed.
        register(&ann, input(&two, "phone", "HOURLY")).await;
        sleep_device(&app.db, "phone").await;
        no_message_follows().await;
        assert_eq!(service.messages().len(), 1, "no more than one an hour");
        app.db.execute("UPDATE topaz_push_endpoint SET sent_at = 1, due_at = 1").await;
        assert_eq!(service.until("two", 1).await[0].version(), 3);
    }

    async fn an_invalid_subscription_is_refused_and_changes_nothing(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let valid = input(&service.subscribe("one"), "phone", "DAILY");
        for (member, value) in [
            ("endpoint", json!("http://push.example.org/1")),
            ("endpoint", json!("https://127.0.0.1/1")),
            ("endpoint", json!("https://[::ffff:169.254.169.254]/1")),
            ("endpoint", json!("https://localhost/1")),
            ("endpoint", json!("https://redis/1")),
            ("endpoint", json!("https://push.example.org/1#a")),
            ("endpoint", json!("https://me@push.example.org/1")),
            ("endpoint", json!("https://push.example.org:0/1")),
            ("endpoint", json!(" https://push.example.org/1")),
            ("endpoint", json!(format!("{}/push/one#a", service.base))),
            ("endpoint", json!(format!("{}/push/one", service.base.replace("//", "//me@")))),
            ("p256dh", json!("AAAA")),
            ("auth", json!("AAAA")),
            ("expirationTime", json!(-1)),
            ("expirationTime", json!(1e300)),
            ("device", json!({"id": ""})),
            ("applied", json!("9")),
        ] {
            let mut input = valid.clone();
            input[member] = value.clone();
            let refused = ann.send(REGISTER, json!({"input": input})).await;
            let extensions = &refused["errors"][0]["extensions"];
            assert_eq!(extensions["code"], "BAD_USER_INPUT", "{member}: {value}: {refused}");
            let field = extensions["field"].as_str().unwrap();
            assert!(field.starts_with(member), "{field}");
            let text = refused.to_string();
            assert!(!text.contains("push.example.org") && !text.contains("169.254"), "{text}");
        }
        assert!(devices(&ann).await.is_empty());
        assert!(register(&ann, valid).await["refusal"].is_null());
    }

    async fn without_a_key_push_is_off(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, service) = (app.user("ann"), FakePushService::start().await);
        assert!(ann.ask("{ pushPublicKey }", json!({})).await["pushPublicKey"].is_null());
        let input = input(&service.subscribe("one"), "phone", "DAILY");
        assert_eq!(ann.refused(REGISTER, json!({"input": input})).await, "BAD_USER_INPUT");
        assert!(devices(&ann).await.is_empty());
    }
}

#[tokio::test]
async fn the_public_key_is_that_of_the_private_key_for_ever() {
    let service = FakePushService::start().await;
    let flags = service.flags(&[]);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let key = async |app: &TestApp| {
        let answer = app.user("ann").ask("{ pushPublicKey }", json!({})).await;
        answer["pushPublicKey"].as_str().unwrap().to_owned()
    };
    let app = TestApp::start_with(Db::Sqlite, &flags).await;
    let before = key(&app).await;
    assert_eq!(before.len(), 87);
    let app = app.restart(&flags).await;
    assert_eq!(key(&app).await, before);
}

#[tokio::test]
async fn a_setting_without_effect_or_sense_is_refused_at_start() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let notice = |name: &str, text: Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, text.to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fine = notice("fine", json!({}));
    let key = library_sync::push::new_key().unwrap();
    let on = [
        "--vapid-key",
        &key,
        "--vapid-subject",
        "mailto:admin@example.org",
    ];
    let off = [];
    for (key, setting, value, expected) in [
        (
            &off[..],
            "--push-notice",
            &*fine,
            "--push-notice (LIBRARY_SYNC_PUSH_NOTICE): has no effect",
        ),
        (
            &off[..],
            "--push-allow",
            "http://127.0.0.1:1",
            "--push-allow (LIBRARY_SYNC_PUSH_ALLOW): has no effect",
        ),
        (
            &on[..],
            "--push-notice",
            &notice("placeholder", json!({"title": "{count}"})),
            "`title` has the unknown",
        ),
        (
            &on[..],
            "--push-notice",
            &notice("script", json!({"navigate": "javascript:x"})),
            "`navigate` must be",
        ),
    ] {
        let flags = [key, &[setting, value]].concat();
        let error = TestApp::start_error(&database.url, &flags).await;
        assert!(
            error.contains(setting) && error.contains(expected),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_wrong_setting_of_push_is_named_and_never_shown() {
    let database = TestDatabase::new(Db::Sqlite).await;
    let key = library_sync::push::new_key().unwrap();
    let subject = "mailto:admin@example.org";
    for (flags, expected) in [
        (
            ["--vapid-key", "Hush7", "--vapid-subject", subject],
            "--vapid-key (LIBRARY_SYNC_VAPID_KEY): ",
        ),
        (
            [
                "--vapid-key",
                &key,
                "--vapid-subject",
                "mailto:me@localhost",
            ],
            "--vapid-subject (LIBRARY_SYNC_VAPID_SUBJECT): ",
        ),
        (
            ["--webhook", "Hush7", "--webhook-secret", "whsec_AAAA"],
            "--webhook (LIBRARY_SYNC_WEBHOOK): ",
        ),
        (
            [
                "--webhook",
                "https://app.example",
                "--webhook-secret",
                "Hush7",
            ],
            "--webhook-secret (LIBRARY_SYNC_WEBHOOK_SECRET): ",
        ),
    ] {
        let error = TestApp::start_error(&database.url, &flags).await;
        assert!(error.contains(expected), "{error}");
        assert!(
            !error.contains("Hush7") && !error.contains("BEGIN"),
            "{error}"
        );
    }
}
