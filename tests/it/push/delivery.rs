//! Who is sent a message and when, and what each answer of a push service does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    push::fake_push_service::{
        Answer, FakePushService, REGISTER, UNREGISTER, change, no_message_follows, register,
        sleep_device, start, start_settling,
    },
    support::socket::Socket,
    support::test_app::{Db, TestApp, TestDatabase, TestProcess, on_each_database, soon},
};

async fn app(db: Db) -> (TestApp, FakePushService) {
    let service = FakePushService::start().await;
    let app = start(TestDatabase::new(db).await, &service, &[]).await;
    (app, service)
}

/// A server that waits long enough after a change for what the test does next, also on a busy machine.
async fn patient_app(db: Db) -> (TestApp, FakePushService) {
    let service = FakePushService::start().await;
    let app = start_settling(TestDatabase::new(db).await, &service, "4s", &[]).await;
    (app, service)
}

/// The value of a column of a device's endpoint; `None` if it has none.
async fn column(app: &TestApp, device: &str, column: &str) -> Option<i64> {
    let sql = format!(
        "SELECT (SELECT CAST({column} AS bigint) FROM topaz_push_endpoint WHERE device_id = '{device}')"
    );
    app.db.scalar(&sql).await
}

/// Waits until a condition on a device's endpoint holds.
async fn until(app: &TestApp, device: &str, condition: &str) {
    let sql = format!(
        "SELECT count(*) FROM topaz_push_endpoint WHERE device_id = '{device}' AND {condition}"
    );
    let holds = async {
        while app.db.scalar::<i64>(&sql).await == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(condition, holds).await;
}

const TEST: &str = "mutation ($device: ID!) { sendTestPush(input: {device: $device}) { \
    accepted status refusal { code } } }";

const HOUR: i64 = 3_600_000;

/// Makes what is due later due now.
async fn fast_forward(app: &TestApp) {
    app.db
        .execute("UPDATE topaz_push_endpoint SET due_at = 1 WHERE due_at IS NOT NULL")
        .await;
}

/// Sends a query with the headers of a device.
async fn report(app: &TestApp, user: &str, device: &str, applied: &str) {
    let request = app
        .http
        .post(app.url("/graphql"))
        .bearer_auth(&app.user(user).token)
        .header("x-device-id", device)
        .header("x-library-applied", applied)
        .json(&json!({"query": "{ libraryVersion }"}));
    let answer: Value = soon("an answer", async {
        request.send().await.unwrap().json().await.unwrap()
    })
    .await;
    assert!(answer["errors"].is_null(), "{answer}");
}

on_each_database! {
    async fn a_change_is_sent_to_the_other_devices_of_its_user_with_words_and_ids(db: Db) {
        let (app, service) = app(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        for device in ["phone", "laptop"] {
            register(&ann, &service.subscribe(device), "EVERY_CHANGE").await;
        }
        register(&bob, &service.subscribe("bobs"), "EVERY_CHANGE").await;
        let device = json!({"id": "phone", "name": "Ann's phone"});
        let url = json!("https://example.org/1");
        let made = ann.create_story(json!({"title": "One", "url": url, "device": device})).await;
        let message = service.until("laptop", 1).await.remove(0);
        assert_eq!(message.payload["type"], "library_version_update");
        assert_eq!(message.version(), 2);
        let header = |name: &str| message.headers[name].to_str().unwrap();
        assert_eq!([header("ttl"), header("urgency"), header("topic")], ["2419200", "normal", "library"]);
        let head = format!("{}.2", message.payload["epoch"]);
        assert_eq!(ann.head().await, head);
        assert_eq!(message.payload["notification"]["body"], "1 story updated on Ann's phone");
        assert_eq!(message.payload["warm"], json!([made["progress"]["id"]]));
        no_message_follows().await;
        assert_eq!(service.messages().len(), 1, "none to the origin, to another user, or again");
        assert_eq!(column(&app, "phone", "known_version").await, Some(2));
        service.assert_no_violation();
    }

    async fn a_device_that_has_applied_the_change_is_sent_nothing(db: Db) {
        let (app, service) = patient_app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        change(&ann, "laptop", "a").await;
        report(&app, "ann", "phone", &ann.head().await).await;
        until(&app, "phone", "known_version = 2 AND due_at IS NULL").await;
        assert_eq!(service.messages().len(), 0);
        // A head that the user has not reached is ignored.
        report(&app, "ann", "phone", &ann.head_at(99).await).await;
        change(&ann, "laptop", "b").await;
        assert_eq!(service.until("phone", 1).await[0].version(), 3);
    }

    async fn a_report_is_stored_at_most_once_a_minute_unless_a_message_is_due(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "OFF").await;
        for version in [2, 3] {
            change(&ann, "laptop", &version.to_string()).await;
            report(&app, "ann", "phone", &ann.head().await).await;
            until(&app, "phone", "known_version = 2").await;
        }
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(column(&app, "phone", "known_version").await, Some(2));
        app.db.execute("UPDATE topaz_push_endpoint SET reported_at = reported_at - 60000").await;
        until(&app, "phone", "known_version = 3").await;
    }

    async fn a_device_with_an_open_stream_is_sent_what_it_missed_when_the_stream_ends(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        let open = async || {
            let path = app.url("/api/library-version-events?device=phone");
            let stream = app.http.get(path).bearer_auth(&ann.token).send().await.unwrap();
            until(&app, "phone", "live_until > 1").await;
            stream
        };
        let stream = open().await;
        change(&ann, "laptop", "a").await;
        no_message_follows().await;
        assert_eq!(service.messages().len(), 0);
        drop(stream);
        assert_eq!(service.until("phone", 1).await[0].version(), 2);
        // It reports the change before the stream ends.
        let stream = open().await;
        change(&ann, "laptop", "b").await;
        report(&app, "ann", "phone", &ann.head().await).await;
        drop(stream);
        no_message_follows().await;
        assert_eq!(service.messages().len(), 1);
    }

    async fn a_stream_of_each_transport_names_its_device(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let is_live = "live_until > 1";
        for device in ["socket", "init", "sse"] {
            register(&ann, &service.subscribe(device), "OFF").await;
        }
        let bearer = format!("Bearer {}", ann.token);
        let socket = Socket::open_with(&app, "/graphql?device=socket", |request| {
            request.with_header("Authorization", bearer.as_str())
        });
        let mut socket = socket.await.unwrap();
        socket.send(json!({"type": "connection_init"})).await;
        until(&app, "socket", is_live).await;
        let mut init = Socket::open(&app).await;
        let payload = json!({"Authorization": bearer, "device": "init"});
        init.send(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(init.next().await["type"], "connection_ack");
        until(&app, "init", is_live).await;
        let request = app.http.post(app.url("/graphql")).bearer_auth(&ann.token);
        let request = request.header("x-device-id", "sse").header("accept", "text/event-stream");
        let stream = request.json(&json!({"query": "subscription { libraryVersion }"})).send().await.unwrap();
        until(&app, "sse", is_live).await;
        drop((socket, init, stream));
        for device in ["socket", "init", "sse"] {
            until(&app, device, "live_until = 0").await;
        }
    }

    async fn an_invalid_device_of_a_request_is_refused(db: Db) {
        let (app, _) = app(db).await;
        let ann = app.user("ann");
        for (name, value) in [("x-device-id", ""), ("x-library-applied", "9")] {
            let request = app.http.get(app.url("/api/library-version")).bearer_auth(&ann.token);
            let response = request.header(name, value).send().await.unwrap();
            assert_eq!(response.status(), 400, "{name}");
        }
        let mut socket = Socket::open(&app).await;
        let payload = json!({"Authorization": format!("Bearer {}", ann.token), "device": "x", "applied": "9"});
        socket.send(json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(socket.closed().await.0, 4400);
    }

    async fn changes_coalesce_and_the_newest_version_is_sent(db: Db) {
        let (app, service) = patient_app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        for name in ["a", "b", "c"] {
            change(&ann, name, name).await;
        }
        let message = service.until("phone", 1).await.remove(0);
        assert_eq!(message.version(), 4);
        assert_eq!(message.payload["notification"]["body"], "Updated on several devices");
    }

    async fn a_message_is_no_more_frequent_than_the_pace(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        for (device, pace) in [("every", "EVERY_CHANGE"), ("hourly", "HOURLY"), ("daily", "DAILY"), ("off", "OFF")] {
            register(&ann, &service.subscribe(device), pace).await;
        }
        change(&ann, "laptop", "a").await;
        for device in ["every", "hourly", "daily"] {
            service.until(device, 1).await;
        }
        change(&ann, "laptop", "b").await;
        service.until("every", 2).await;
        for (device, hours) in [("hourly", 1), ("daily", 24)] {
            until(&app, device, "due_at IS NOT NULL").await;
            let wait = column(&app, device, "due_at - sent_at").await.unwrap();
            assert_eq!(wait, hours * 3_600_000, "{device}");
        }
        assert_eq!((service.messages_to("off").len(), column(&app, "off", "due_at").await), (0, None));
        app.db.execute("UPDATE topaz_push_endpoint SET sent_at = sent_at - 3600000, due_at = due_at - 3600000 WHERE device_id = 'hourly'").await;
        assert_eq!(service.until("hourly", 2).await[1].version(), 3);
    }

    async fn an_endpoint_that_is_gone_or_expired_is_removed(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        for device in ["404", "410", "expired"] {
            register(&ann, &service.subscribe(device), "EVERY_CHANGE").await;
        }
        service.answer("404", &[Answer::Status(404)]);
        service.answer("410", &[Answer::Status(410)]);
        app.db.execute("UPDATE topaz_push_endpoint SET expires_at = 1 WHERE device_id = 'expired'").await;
        change(&ann, "laptop", "a").await;
        let sql = "SELECT count(*) FROM topaz_push_endpoint";
        soon("the endpoints go", async { while app.db.scalar::<i64>(sql).await > 0 {} }).await;
        assert_eq!(service.messages_to("expired").len(), 0);
    }

    async fn each_failure_is_retried_after_its_time(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let cases = [
            ("429", Answer::RetryAfter(429, 77), 77_000, 77_000),
            ("429-at-once", Answer::RetryAfter(429, 0), 750, 1_000),
            ("503-at-once", Answer::RetryAfter(503, 0), 750, 1_000),
            ("429-in-years", Answer::RetryAfter(429, 315_360_000), 24 * HOUR, 24 * HOUR),
            ("503", Answer::RetryAfter(503, 88), 88_000, 88_000),
            ("500", Answer::RetryAfter(500, 88), 750, 1_000),
            ("502", Answer::Status(502), 750, 1_000),
            ("hang", Answer::Hang, 750, 1_000),
            ("400", Answer::Status(400), HOUR * 3 / 4, HOUR),
            ("401", Answer::RetryAfter(401, 1), HOUR * 3 / 4, HOUR),
            ("403", Answer::Status(403), HOUR * 3 / 4, HOUR),
            ("307", Answer::Status(307), HOUR * 3 / 4, HOUR),
        ];
        for (device, answer, ..) in cases {
            register(&ann, &service.subscribe(device), "EVERY_CHANGE").await;
            service.answer(device, &[answer, Answer::Status(201)]);
        }
        change(&ann, "laptop", "a").await;
        for (device, _, least, most) in cases {
            service.until(device, 1).await;
            until(&app, device, "(failures > 0 OR sent_at > 0)").await;
            // A short wait may be over by now.
            let wait = "CASE WHEN known_version = 1 THEN due_at - failing_since END";
            let wait = column(&app, device, wait).await;
            let is_right = |wait| (least - 50..=most + 50).contains(&wait);
            assert!(wait.map_or(most <= 1_000, is_right), "{device}: {wait:?}");
        }
        fast_forward(&app).await;
        for (device, ..) in cases {
            assert_eq!(service.until(device, 2).await[1].version(), 2);
            until(&app, device, "failures = 0 AND failing_since IS NULL AND due_at IS NULL").await;
        }
        service.assert_no_violation();
    }

    async fn a_message_that_is_too_large_is_sent_again_without_its_ids(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        service.answer("phone", &[Answer::Status(413)]);
        ann.add("One").await;
        let messages = service.until("phone", 2).await;
        let warm = |n: usize| messages[n].payload["warm"].is_null();
        assert_eq!((warm(0), warm(1), messages[1].version()), (false, true, 2));
    }

    async fn a_message_that_stays_too_large_is_sent_again_with_backoff(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        service.answer("phone", &[Answer::Status(413); 5]);
        ann.add("One").await;
        // Each attempt is one message with ids and one without.
        for failures in 1..=2 {
            service.until("phone", 2 * failures).await;
            let failed = format!("failures = {failures}");
            until(&app, "phone", &failed).await;
        }
        let wait = column(&app, "phone", "due_at - claimed_until").await;
        assert!(wait.is_some());
        let since = column(&app, "phone", "due_at - failing_since").await.unwrap();
        assert!(since >= 750 + 1_500, "the second backoff is twice the first: {since}");
        // Without ids there is nothing to leave out.
        service.answer("phone", &[Answer::Status(413), Answer::Status(201)]);
        app.db.execute("DELETE FROM topaz_tombstone").await;
        app.db.execute("UPDATE topaz_progress SET stamp = 1").await;
        app.db.execute("UPDATE topaz_story SET stamp = 1").await;
        let before = service.messages_to("phone").len();
        fast_forward(&app).await;
        until(&app, "phone", "failures = 3").await;
        assert_eq!(service.messages_to("phone").len(), before + 1);
    }

    async fn an_endpoint_that_fails_for_14_days_is_removed(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        service.answer("phone", &[Answer::RetryAfter(503, 60); 3]);
        change(&ann, "laptop", "a").await;
        until(&app, "phone", "failures = 1").await;
        let day: i64 = 24 * 3_600_000;
        for (days, failures) in [(13, 2), (14, 3)] {
            let age = format!("UPDATE topaz_push_endpoint SET failing_since = failing_since - {}", days * day);
            app.db.execute(&age).await;
            fast_forward(&app).await;
            if failures == 2 {
                until(&app, "phone", "failures = 2").await;
            }
        }
        let sql = "SELECT count(*) FROM topaz_push_endpoint";
        soon("the endpoint goes", async { while app.db.scalar::<i64>(sql).await > 0 {} }).await;
    }

    async fn a_test_message_is_sent_at_once_and_at_most_once_in_10_seconds(db: Db) {
        let (app, service) = app(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        register(&ann, &service.subscribe("phone"), "OFF").await;
        let test = async |user: &crate::support::test_app::TestUser<'_>| {
            user.ask(TEST, json!({"device": "phone"})).await["sendTestPush"].take()
        };
        assert_eq!(test(&ann).await, json!({"accepted": true, "status": 201, "refusal": null}));
        assert_eq!(service.until("phone", 1).await[0].payload["type"], "test");
        assert_eq!(test(&ann).await["refusal"]["code"], "LIMIT_REACHED");
        assert_eq!(test(&bob).await["refusal"]["code"], "NOT_FOUND");
        assert_eq!(service.messages().len(), 1);
    }

    async fn the_limit_of_test_messages_survives_a_new_registration(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        let phone = service.subscribe("phone");
        let test = async |device: &str| {
            ann.ask(TEST, json!({"device": device})).await["sendTestPush"].take()
        };
        register(&ann, &phone, "OFF").await;
        assert_eq!(test("phone").await["accepted"], true);
        for device in ["phone", "tablet"] {
            ann.ask(UNREGISTER, json!({"input": {"endpoint": phone.endpoint}})).await;
            let again = crate::push::fake_push_service::input(&phone, device, "OFF");
            ann.ask(REGISTER, json!({"input": again})).await;
            assert_eq!(test(device).await["refusal"]["code"], "LIMIT_REACHED", "{device}");
        }
        assert_eq!(service.messages().len(), 1);
    }

    async fn a_test_message_to_an_endpoint_that_is_gone_removes_it(db: Db) {
        let (app, service) = app(db).await;
        for (status, user) in [(404, "ann"), (410, "bob"), (500, "cid")] {
            let user = app.user(user);
            let device = status.to_string();
            register(&user, &service.subscribe(&device), "EVERY_CHANGE").await;
            service.answer(&device, &[Answer::Status(status)]);
            let answer = user.ask(TEST, json!({"device": device})).await["sendTestPush"].take();
            assert_eq!(answer, json!({"accepted": false, "status": status, "refusal": null}));
            let left = column(&app, &device, "1").await;
            assert_eq!(left.is_some(), status == 500, "{status}");
        }
    }

    async fn a_change_whose_notice_was_lost_is_found_by_the_sweep(db: Db) {
        let (app, service) = app(db).await;
        let ann = app.user("ann");
        register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
        app.db.execute("UPDATE topaz_user SET library_version = library_version + 1").await;
        assert_eq!(service.until("phone", 1).await[0].version(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_a_stream_on_another_node_is_sent_nothing() {
    let service = FakePushService::start().await;
    let one = start(TestDatabase::new(Db::Postgres).await, &service, &[]).await;
    let two = start(one.db.shared(), &service, &[]).await;
    let ann = one.user("ann");
    register(&ann, &service.subscribe("phone"), "EVERY_CHANGE").await;
    // The other node learns of the endpoint by its sweep.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let path = two.url("/api/library-version-events?device=phone");
    let stream = two
        .http
        .get(path)
        .bearer_auth(&ann.token)
        .send()
        .await
        .unwrap();
    until(&one, "phone", "live_until > 1").await;
    change(&ann, "laptop", "a").await;
    no_message_follows().await;
    assert_eq!(service.messages().len(), 0);
    drop(stream);
    assert_eq!(service.until("phone", 1).await.len(), 1);
    sleep_device(&one.db, "phone").await;
}

/// The endpoint, its keys and the payload must not reach the log at any level.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_endpoint_key_or_payload_reaches_the_log_or_the_metrics() {
    let service = FakePushService::start().await;
    let database = TestDatabase::new(Db::Sqlite).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let more = ["--push-delay", "100ms", "--log", "trace"];
    let flags = service.flags(&more);
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let node =
        TestProcess::serve_logging(&database.url, &flags, log.reopen().unwrap().into()).await;
    let one = service.subscribe("Hush7endpoint");
    let input = crate::push::fake_push_service::input(&one, "phone", "EVERY_CHANGE");
    let register = crate::push::fake_push_service::REGISTER;
    node.send("ann", register, json!({"input": input}))
        .await
        .unwrap();
    sleep_device(&database, "phone").await;
    service.answer(&one.name, &[Answer::Status(403)]);
    let tag = "mutation { createTag(input: {name: \"Hush7tag\", device: {id: \"x\", name: \"Hush7device\"}}) { libraryVersion } }";
    node.send("ann", tag, json!({})).await.unwrap();
    service.until(&one.name, 1).await;
    let metrics = node.url("/metrics");
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(
        text.contains("a push service refuses messages"),
        "the fault is logged"
    );
    for secret in ["Hush7", &one.p256dh, &one.auth] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
        assert!(!metrics.contains(secret));
    }
}
