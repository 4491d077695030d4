//! The verdict about a device: each cause, made by a real server, a real proxy or a real push service, gives its verdict,
//! and devices that work never get another than those of devices that work.
//!
//! By hand: `LIBRARY_SYNC_TEST_HEALTHY_RUNS=1000 scripts/test devices_that_work` makes more runs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    devices::{check, device, until},
    push::fake_push_service::{Answer, FakePushService, REGISTER, input, start},
    support::{
        programs::Finish as _,
        test_app::{Db, TestApp, TestDatabase, TestUser, on_each_database, program, token_for},
        transport::{StreamItem, Transport, VersionStream},
    },
};

/// How long a device may take in these tests.
const GRACE: Duration = Duration::from_secs(1);

/// The settings with which causes are found soon.
const SOON: [&str; 4] = ["--device-grace", "1s", "--jwt-leeway", "0s"];

const TAG: &str = "mutation ($name: String!, $device: ID!) { createTag(input: {name: $name, device: {id: $device}}) \
    { libraryVersion } }";

async fn app(db: Db, more: &[&str]) -> TestApp {
    let flags = [&SOON, more].concat();
    TestApp::start_with(db, &flags).await
}

async fn verdict(user: &TestUser<'_>, id: &str) -> String {
    let device = device(user, id).await;
    device["verdict"].as_str().unwrap_or("none").to_owned()
}

/// Reports a device with this head and these headers.
async fn report(user: &TestUser<'_>, head: &str, more: &[(&str, &str)]) {
    let of_device = [("x-device-id", "phone"), ("x-library-applied", head)];
    let status = check(user.app, &user.token, &[&of_device, more].concat()).await;
    assert_eq!(status, 200);
}

async fn stream(user: &TestUser<'_>) -> VersionStream {
    let bearer = format!("Bearer {}", user.token);
    let headers = [("Authorization", &*bearer)];
    let stream = Transport::Events.open_with(user.app, "?device=phone", &headers);
    let mut stream = stream.await.unwrap();
    stream.next().await;
    stream
}

/// A proxy in front of `target` that passes requests on, and keeps what the server answers.
async fn buffering_proxy(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(target.strip_prefix("http://").unwrap())
                .await
                .unwrap();
            tokio::spawn(async move {
                let ((mut from, _to), (mut answers, mut requests)) =
                    (client.into_split(), server.into_split());
                let mut buffered = Vec::new();
                tokio::select! {
                    _ = tokio::io::copy(&mut from, &mut requests) => {}
                    _ = answers.read_to_end(&mut buffered) => {}
                }
                let _ = requests.shutdown().await;
            });
        }
    });
    base
}

on_each_database! {
    async fn a_device_that_reflects_the_head_is_up_to_date(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        assert_eq!(verdict(&ann, "phone").await, "UP_TO_DATE");
    }

    async fn a_device_with_a_stream_that_is_about_to_load_is_behind_and_connected(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        let _stream = stream(&ann).await;
        ann.create_tag("a").await;
        let phone = device(&ann, "phone").await;
        assert_eq!((&phone["verdict"], &phone["behind"]), (&json!("BEHIND_CONNECTED"), &json!(1)));
    }

    async fn a_device_without_a_stream_is_asleep_when_it_is_behind(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        drop(stream(&ann).await);
        ann.create_tag("a").await;
        let phone = until(&ann, "phone", "the stream has ended", |phone| phone["streams"] == json!([])).await;
        assert_eq!((&phone["verdict"], &phone["verdictSince"]), (&json!("ASLEEP"), &phone["lastSeenAt"]));
    }

    async fn an_outbox_whose_oldest_change_stays_is_stuck(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        let head = ann.head().await;
        report(&ann, &head, &[("x-library-pending", "2;1763809200000")]).await;
        tokio::time::sleep(GRACE).await;
        // The first change was sent meanwhile.
        report(&ann, &head, &[("x-library-pending", "1;1763809200001;NOT_FOUND")]).await;
        assert_eq!(verdict(&ann, "phone").await, "UP_TO_DATE");
        tokio::time::sleep(GRACE).await;
        report(&ann, &head, &[("x-library-pending", "1;1763809200001;NOT_FOUND")]).await;
        let phone = device(&ann, "phone").await;
        assert_eq!((&phone["verdict"], &phone["pending"]["error"]), (&json!("OUTBOX_STUCK"), &json!("NOT_FOUND")));
        report(&ann, &head, &[("x-library-pending", "0")]).await;
        assert_eq!(verdict(&ann, "phone").await, "UP_TO_DATE");
    }

    async fn a_device_that_does_not_renew_its_token_is_named(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        // The stream ends with its token.
        let short = TestUser { app: &app, token: token_for("ann", Duration::from_secs(2)) };
        let mut stream = stream(&short).await;
        while !matches!(stream.next().await, StreamItem::End(_)) {}
        drop(stream);
        let ended = until(&ann, "phone", "its token has ended", |phone| phone["verdict"] == "TOKEN_ENDED").await;
        assert!(ended["verdictSince"].is_string());
        // A new token makes it good again, until requests with the old one are refused.
        report(&ann, &ann.head().await, &[]).await;
        assert_eq!(verdict(&ann, "phone").await, "UP_TO_DATE");
        for wait in [GRACE, Duration::ZERO] {
            assert_eq!(check(&app, &short.token, &[("x-device-id", "phone")]).await, 401);
            tokio::time::sleep(wait).await;
        }
        assert_eq!(verdict(&ann, "phone").await, "TOKEN_ENDED");
    }

    async fn a_copy_of_another_epoch_is_named(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        app.library.begin_epoch(Some(&library_sync::version::UserId::new("ann").unwrap())).await.unwrap();
        let phone = device(&ann, "phone").await;
        assert_eq!((&phone["verdict"], &phone["behind"]), (&json!("OTHER_EPOCH"), &Value::Null));
    }

    async fn a_copy_that_is_older_than_the_history_is_named(db: Db) {
        let app = app(db, &["--keep-history", "1ms", "--purge-every", "200ms"]).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        for name in ["a", "b"] {
            let made = ann.create_tag(name).await;
            let id = made["tag"]["id"].clone();
            ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": id}), "deletedTagId").await;
        }
        until(&ann, "phone", "the history is purged", |phone| phone["verdict"] == "BELOW_FLOOR").await;
    }

    async fn a_stream_behind_a_buffering_proxy_is_named(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        let head = ann.head().await;
        report(&ann, &head, &[]).await;
        let proxy = buffering_proxy(app.base.clone()).await;
        let request = app.http.get(format!("{proxy}/api/library-version-events?device=phone"));
        let opening = tokio::spawn(request.bearer_auth(&ann.token).send());
        until(&ann, "phone", "the server has the stream", |phone| phone["streams"] != json!([])).await;
        ann.create_tag("a").await;
        assert_eq!(verdict(&ann, "phone").await, "BEHIND_CONNECTED");
        tokio::time::sleep(GRACE + Duration::from_millis(200)).await;
        assert_eq!(verdict(&ann, "phone").await, "BEHIND_CONNECTED", "it has not reported since");
        report(&ann, &head, &[]).await;
        assert_eq!(verdict(&ann, "phone").await, "STREAM_BUFFERED");
        assert!(!opening.is_finished(), "nothing reaches the device");
        opening.abort();
    }

    async fn a_push_endpoint_that_is_gone_is_named_until_there_is_another(db: Db) {
        let service = FakePushService::start().await;
        let app = start(TestDatabase::new(db).await, &service, &SOON).await;
        let ann = app.user("ann");
        report(&ann, &ann.head().await, &[]).await;
        service.answer("one", &[Answer::Status(410)]);
        let register = async |name| {
            let mut input = input(&service.subscribe(name), "phone", "EVERY_CHANGE");
            input["applied"] = json!(ann.head().await);
            ann.ask(REGISTER, json!({"input": input})).await;
        };
        // A device is not sent messages before it is stored.
        register("one").await;
        ann.create_tag("a").await;
        until(&ann, "phone", "the endpoint is gone", |phone| phone["verdict"] == "PUSH_ENDPOINT_GONE").await;
        register("two").await;
        assert_eq!(verdict(&ann, "phone").await, "ASLEEP");
    }

    async fn a_client_that_is_too_old_is_named(db: Db) {
        let app = app(db, &["--min-client", "my-app/2.0"]).await;
        let ann = app.user("ann");
        let head = ann.head().await;
        for (client, expected) in [("my-app/1.9", "CLIENT_TOO_OLD"), ("my-app/2.0.1", "UP_TO_DATE")] {
            report(&ann, &head, &[("x-library-client", client)]).await;
            assert_eq!(verdict(&ann, "phone").await, expected, "{client}");
        }
    }

    async fn a_clock_that_is_off_is_named(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        let head = ann.head().await;
        let now = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        for (off, expected) in [(600_000, "CLOCK_OFF"), (-600_000, "CLOCK_OFF"), (5_000, "UP_TO_DATE")] {
            report(&ann, &head, &[("x-library-clock", &(now + off).to_string())]).await;
            assert_eq!(verdict(&ann, "phone").await, expected, "{off} ms");
        }
    }

    async fn a_device_that_does_not_report_is_never_seen(db: Db) {
        let app = app(db, &[]).await;
        let ann = app.user("ann");
        ann.ask(TAG, json!({"name": "a", "device": "phone"})).await;
        assert_eq!(verdict(&ann, "phone").await, "NEVER_SEEN");
    }

    async fn devices_that_work_get_no_verdict_that_asks_to_act(db: Db) {
        let runs = std::env::var("LIBRARY_SYNC_TEST_HEALTHY_RUNS");
        let runs: usize = runs.map_or(20, |runs| runs.parse().expect("a number"));
        // The default grace: a test on a busy machine may take longer than a short one, and is then slow for the server too.
        let app = TestApp::start_with(db, &["--device-interval", "0s"]).await;
        let mut seen = std::collections::BTreeMap::<String, usize>::new();
        for run in 0..runs {
            let ann = app.user(&format!("reader {run}"));
            let mut note = async |ann: &TestUser<'_>| {
                for listed in crate::devices::devices(ann).await {
                    let verdict = listed["verdict"].as_str().unwrap().to_owned();
                    let is_healthy = ["UP_TO_DATE", "BEHIND_CONNECTED", "ASLEEP"].contains(&&*verdict);
                    assert!(is_healthy, "run {run}: {listed}");
                    *seen.entry(verdict).or_default() += 1;
                }
            };
            // The app starts: it loads, reports, and opens its stream.
            report(&ann, &ann.head().await, &[]).await;
            note(&ann).await;
            let mut open = Some(stream(&ann).await);
            for change in 0..3 {
                // Another device makes a change, or this one sends its outbox.
                let before = ann.head().await;
                if change % 2 == 0 {
                    ann.create_tag(&format!("tag {change}")).await;
                } else {
                    let oldest = (1_763_809_200_000_u64 + change).to_string();
                    report(&ann, &before, &[("x-library-pending", &format!("1;{oldest}"))]).await;
                    note(&ann).await;
                    ann.ask(TAG, json!({"name": format!("tag {change}"), "device": "phone"})).await;
                    report(&ann, &before, &[("x-library-pending", "0")]).await;
                }
                note(&ann).await;
                if let Some(open) = &mut open {
                    open.version().await;
                }
                // It loads with the head of its copy, then reports the new one with its next request.
                report(&ann, &before, &[]).await;
                note(&ann).await;
                report(&ann, &ann.head().await, &[]).await;
                note(&ann).await;
                // It sleeps at times.
                if change == 1 {
                    open = None;
                    note(&ann).await;
                }
            }
        }
        println!("{runs} runs: {seen:?}");
        assert!(seen["UP_TO_DATE"] >= runs);
    }
}

/// Whether `library-sync why` succeeds, and what it prints.
fn why(database: &TestDatabase, more: &[&str]) -> (bool, String) {
    let mut command = program();
    let output = command
        .args(["why", "--database-url", &database.url])
        .args(more)
        .finish();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

on_each_database! {
    async fn the_command_prints_the_verdict_and_what_to_do(db: Db) {
        let mut app = app(db, &[]).await;
        let ann = app.user("ann");
        let head = ann.head().await;
        report(&ann, &head, &[("x-library-client", "my-app/1.9")]).await;
        ann.ask(TAG, json!({"name": "a", "device": "laptop"})).await;
        app.stop().await;
        let (succeeds, text) = why(&app.db, &["--sub", "ann"]);
        assert!(succeeds, "{text}");
        for line in [
            "phone: ASLEEP",
            "  versions behind: 1",
            "  what to do: open the app on the device; it loads when it starts",
            "laptop: NEVER_SEEN",
        ] {
            assert!(text.lines().any(|printed| printed.starts_with(line)), "{line}: {text}");
        }
        let (_, text) = why(&app.db, &["--sub", "ann", "--device", "phone", "--min-client", "my-app/2"]);
        assert!(text.contains("phone: CLIENT_TOO_OLD") && !text.contains("laptop"), "{text}");
        let (_, text) = why(&app.db, &["--sub", "ann", "--device", "other"]);
        assert!(text.starts_with("other: NEVER_SEEN"), "{text}");
        let (succeeds, text) = why(&app.db, &["--sub", "bob"]);
        assert!(!succeeds && text.contains("--sub: the user bob does not exist"), "{text}");
    }
}
