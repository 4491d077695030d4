//! A database that rolls back under servers and clients that have newer versions: a failover to a standby that lacks the
//! last changes, or an unannounced restore. No version is reused, and every device gets a reset.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    support::servers::{Proxy, Server},
    support::test_app::{Db, TestApp, TestDatabase, TestUser, on_each_database, soon},
    support::transport::{StreamItem, Transport, VersionStream},
};

const CHANGES: &str = "query ($since: Int!, $epoch: ID) { libraryChanges(since: $since, epoch: $epoch) { \
    version epoch reset changes { ... on Story { title stamp } } } }";

/// Rolls the libraries of all users back to `version`, like a restore.
async fn roll_back(database: &TestDatabase, version: i64) {
    for (table, stamp) in [
        ("progress", "stamp"),
        ("story", "stamp"),
        ("field_change", "stamp"),
        ("write", "version"),
    ] {
        let delete = format!("DELETE FROM topaz_{table} WHERE {stamp} > {version}");
        database.execute(&delete).await;
    }
    let lower = format!("UPDATE topaz_user SET library_version = {version}");
    database.execute(&lower).await;
}

/// Adds stories up to version 4.
async fn add_three(user: &TestUser<'_>) {
    for title in ["A", "B", "C"] {
        user.add(title).await;
    }
}

/// The page of changes since a version.
async fn changes(user: &TestUser<'_>, since: i64, epoch: Option<&str>) -> Value {
    let variables = json!({"since": since, "epoch": epoch});
    user.ask(CHANGES, variables).await["libraryChanges"].take()
}

fn titles(page: &Value) -> Vec<&str> {
    let changes = page["changes"].as_array().unwrap().iter();
    changes.filter_map(|it| it["title"].as_str()).collect()
}

/// Asserts that a copy at version 4 of `epoch` gets a reset, and the titles that it holds after it.
async fn assert_reset(user: &TestUser<'_>, epoch: &str, holds: &[&str]) {
    let page = changes(user, 4, Some(epoch)).await;
    assert_eq!(page["reset"], true, "{page}");
    let number = |epoch: &str| epoch.parse::<i64>().unwrap();
    assert!(
        number(page["epoch"].as_str().unwrap()) > number(epoch),
        "{page}"
    );
    // A client without an epoch gets a reset too.
    assert_eq!(changes(user, 4, None).await["reset"], true);
    assert_eq!(titles(&changes(user, 0, None).await), holds);
}

async fn epoch(user: &TestUser<'_>) -> String {
    let page = changes(user, 0, None).await;
    page["epoch"].as_str().unwrap().to_owned()
}

/// The first event of a stream that resumes after the event id `last`.
async fn resume(user: &TestUser<'_>, last: &str) -> Value {
    let url = user.app.url("/api/library-version-events");
    let request = user.app.http.get(url).bearer_auth(&user.token);
    let stream = request.header("last-event-id", last).send();
    let mut stream = soon("the stream opens", stream).await.unwrap();
    let event = soon("an event", stream.chunk()).await.unwrap().unwrap();
    let event = String::from_utf8(event.to_vec()).unwrap();
    let data = event.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap()).unwrap()
}

/// Users at version 4 of an epoch that is an hour old, on a restarted server whose database rolled
/// back to version 2 meanwhile.
async fn restarted(db: Db) -> (TestApp, String) {
    let mut app = TestApp::start(db).await;
    for name in ["ann", "bob", "cid"] {
        add_three(&app.user(name)).await;
    }
    app.db
        .execute("UPDATE topaz_user SET library_epoch = 1700000000000")
        .await;
    app.stop().await;
    roll_back(&app.db, 2).await;
    (app.restart(&[]).await, "1700000000000".to_owned())
}

on_each_database! {
    async fn after_a_database_rollback_every_stream_gets_a_new_epoch_and_no_version_is_reused(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "300ms"]).await;
        let ann = app.user("ann");
        add_three(&ann).await;
        let before = epoch(&ann).await;
        let mut streams = Vec::new();
        for transport in Transport::ALL {
            let mut stream = transport.open(&app, &ann.token).await.unwrap();
            assert_eq!(stream.next().await, StreamItem::Version(4));
            streams.push(stream);
        }
        roll_back(&app.db, 2).await;
        for stream in &mut streams {
            assert_eq!(stream.next().await, StreamItem::Version(5), "above all delivered versions");
        }
        assert_reset(&ann, &before, &["A"]).await;
        assert_eq!(ann.add("D").await["libraryVersion"], 6);
        for stream in &mut streams {
            assert_eq!(stream.next().await, StreamItem::Version(6));
        }
    }

    async fn a_change_after_a_database_rollback_gets_a_version_above_all_acknowledged_ones(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        add_three(&ann).await;
        let before = epoch(&ann).await;
        roll_back(&app.db, 2).await;
        assert_eq!(ann.add("D").await["libraryVersion"], 6, "5 begins the epoch");
        assert_reset(&ann, &before, &["A", "D"]).await;
    }

    async fn a_read_after_a_database_rollback_begins_a_new_epoch(db: Db) {
        let app = TestApp::start(db).await;
        let [ann, bob] = [app.user("ann"), app.user("bob")];
        for user in [&ann, &bob] {
            add_three(user).await;
        }
        let before = epoch(&ann).await;
        // A rollback to before an epoch began: the database does not know the epoch of the later versions.
        app.library.begin_epoch(None).await.unwrap();
        assert_ne!(epoch(&ann).await, before);
        assert_ne!(epoch(&bob).await, before);
        let lost: i64 = epoch(&ann).await.parse().unwrap();
        app.db.execute(&format!("UPDATE topaz_user SET library_epoch = {before}")).await;
        assert_eq!(ann.version().await, 5);
        assert!(epoch(&ann).await.parse::<i64>().unwrap() > lost);
        let page = changes(&bob, 4, Some(&before)).await;
        assert_eq!((&page["reset"], &page["version"]), (&json!(true), &json!(5)), "{page}");
    }

    async fn nodes_that_detect_a_rollback_at_once_begin_one_epoch(db: Db) {
        let one = TestApp::start_with(db, &["--heartbeat", "200ms"]).await;
        let two = TestApp::start_on(one.db.shared(), &["--heartbeat", "200ms"]).await;
        let nodes = [one.user("ann"), two.user("ann")];
        add_three(&nodes[0]).await;
        let mut watches = [nodes[0].watch().await, nodes[1].watch().await];
        for watch in &mut watches {
            watch.until(4).await;
        }
        roll_back(&one.db, 2).await;
        for watch in &mut watches {
            watch.until(5).await;
        }
        for _ in 0..4 {
            for watch in &mut watches {
                let event = watch.next().await.unwrap();
                assert_eq!((&event["type"], &event["version"]), (&json!("heartbeat"), &json!(5)));
            }
        }
        assert_eq!(nodes[1].add("D").await["libraryVersion"], 6);
    }

    async fn a_restarted_server_detects_a_database_rollback_from_its_clients_heads(db: Db) {
        let (app, before) = restarted(db).await;
        let [ann, bob, cid] = ["ann", "bob", "cid"].map(|name| app.user(name));
        let event = resume(&ann, &format!("{before}.4")).await;
        assert_eq!((&event["version"], &event["resume"]), (&json!(5), &json!("other_epoch")));
        assert_reset(&ann, &before, &["A"]).await;

        let check = async |etag: &str| {
            let check = app.http.get(app.url("/api/library-version")).bearer_auth(&bob.token);
            let check = check.header("if-none-match", etag).send();
            soon("a check", check).await.unwrap()
        };
        let current = check("").await.headers()["etag"].to_str().unwrap().to_owned();
        let claim = current.replace(&format!("{before}.2-"), &format!("{before}.4-"));
        assert_ne!(claim, current);
        let check: Value = check(&claim).await.json().await.unwrap();
        assert_eq!(check["version"], 5);
        assert_reset(&bob, &before, &["A"]).await;

        assert_eq!(epoch(&cid).await, before, "a client's head counts only for its own user");
        assert_reset(&cid, &before, &["A"]).await;
        assert_eq!(cid.version().await, 5);
    }

    async fn the_entity_tag_of_another_user_begins_no_epoch(db: Db) {
        let app = TestApp::start(db).await;
        let [ann, bob] = [app.user("ann"), app.user("bob")];
        add_three(&ann).await;
        bob.add("B").await;
        let before = epoch(&bob).await;
        let check = async |user: &TestUser<'_>, etag: Option<&str>| {
            let check = app.http.get(app.url("/api/library-version")).bearer_auth(&user.token);
            let check = etag.into_iter().fold(check, |check, etag| check.header("if-none-match", etag));
            soon("a check", check.send()).await.unwrap()
        };
        let current = check(&ann, None).await.headers()["etag"].to_str().unwrap().to_owned();
        assert!(current.contains(".4"), "{current}");
        // A browser cache that revalidates with the entity tag of another user.
        let checked = check(&bob, Some(&current)).await;
        assert_eq!(checked.status(), 200);
        assert_eq!(checked.json::<Value>().await.unwrap(), json!({"version": 2, "epoch": before}));
        assert_eq!(epoch(&bob).await, before);
    }

    async fn the_event_id_of_another_user_begins_no_epoch(db: Db) {
        let mut app = TestApp::start(db).await;
        add_three(&app.user("ann")).await;
        app.user("bob").add("B").await;
        app.library.begin_epoch(None).await.unwrap();
        app.stop().await;
        // Old enough that a client's head can end it.
        app.db.execute("UPDATE topaz_user SET library_epoch = library_epoch - 3600000").await;
        let app = app.restart(&[]).await;
        let [ann, bob] = [app.user("ann"), app.user("bob")];
        let (other, before) = (epoch(&ann).await, epoch(&bob).await);
        // The EventSource of a browser reconnects with the session of the next user.
        let event = resume(&bob, &format!("{other}.4")).await;
        assert_eq!((&event["version"], &event["resume"]), (&json!(2), &json!("other_epoch")));
        assert_eq!(epoch(&bob).await, before);
    }

    async fn a_client_with_forged_heads_begins_at_most_one_epoch(db: Db) {
        let (app, before) = restarted(db).await;
        let ann = app.user("ann");
        for forged in ["1699999999999.900", "1700000000001.900", "9000000000000000000.2"] {
            resume(&ann, forged).await;
            assert_eq!((ann.version().await, epoch(&ann).await), (2, before.clone()), "{forged}");
        }
        // Far ahead: it begins an epoch, and does not use up versions.
        assert_eq!(resume(&ann, &format!("{before}.2147483647")).await["version"], 3);
        let begun = epoch(&ann).await;
        assert_ne!(begun, before);
        for _ in 0..3 {
            let event = resume(&ann, &format!("{begun}.900")).await;
            assert_eq!((&event["version"], &event["resume"]), (&json!(3), &json!("ahead")));
        }
        assert_eq!(epoch(&ann).await, begun, "an epoch that has just begun stays");
    }

    async fn a_library_at_the_highest_version_continues_in_a_new_epoch(db: Db) {
        const LAST: i64 = i32::MAX as i64;
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let gone = ann.add("A").await["progress"]["id"].take();
        ann.add("B").await;
        let before = epoch(&ann).await;
        app.db.execute("UPDATE topaz_user SET library_version = 2147483645").await;
        ann.delete_progress(&gone).await;
        assert_eq!(ann.add("C").await["libraryVersion"], LAST);
        let mut watch = ann.watch().await;
        watch.until(LAST).await;
        // A refused change does not move the version.
        let refused = ann.delete_progress(&gone).await;
        assert_eq!((&refused["refusal"]["code"], &refused["libraryVersion"]), (&json!("NOT_FOUND"), &json!(LAST)));
        assert_eq!(epoch(&ann).await, before);

        assert_eq!(ann.add("D").await["libraryVersion"], 2);
        assert_eq!(watch.next().await.unwrap()["version"], 2);
        let page = changes(&ann, LAST, Some(&before)).await;
        assert_eq!((&page["reset"], &page["version"]), (&json!(true), &json!(2)));
        let all = changes(&ann, 0, None).await;
        assert_eq!(titles(&all), ["B", "C", "D"]);
        let since = changes(&ann, 1, all["epoch"].as_str()).await;
        assert_eq!((titles(&since), &since["reset"]), (vec!["D"], &json!(false)), "{since}");
        assert_eq!(ann.add("E").await["libraryVersion"], 3);
    }

    async fn the_highest_version_is_a_valid_argument(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let progress = ann.add("A").await["progress"]["id"].take();
        app.db.execute("UPDATE topaz_user SET library_version = 2147483647").await;
        let unchanged = json!({"id": progress, "currentChapter": 0, "idempotencyKey": "k"});
        for _ in 0..2 {
            let response = ann.update_progress(unchanged.clone()).await;
            assert_eq!((&response["libraryVersion"], &response["refusal"]), (&json!(1), &Value::Null), "renumbered");
        }
        assert_eq!(ann.version().await, 1);
        for since in [0, 1, i32::MAX] {
            let page = changes(&ann, since.into(), None).await;
            assert_eq!(page["reset"], since == i32::MAX, "{page}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_standby_that_lacks_changes_resets_devices() {
    let mut primary = Server::postgres().await;
    let mut standby = primary.standby().await;
    let proxy = Proxy::to(primary.port).await;
    let database = TestDatabase::at(primary.url_at(proxy.port));
    let flags = [
        "--heartbeat",
        "500ms",
        "--database-wait",
        "2s",
        "--statement-timeout",
        "2s",
    ];
    let app = TestApp::start_on(database, &flags).await;
    let ann = app.user("ann");
    ann.add("A").await;
    let has = TestDatabase::at(standby.url());
    soon("the standby has it", async {
        let versions = "SELECT coalesce(max(library_version), 0) FROM topaz_user";
        while has
            .scalar::<i32>("SELECT count(*)::int FROM pg_tables WHERE tablename = 'topaz_user'")
            .await
            == 0
            || has.scalar::<i32>(versions).await < 2
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    standby.kill();
    for title in ["LOST", "LOST TOO"] {
        ann.add(title).await;
    }
    let before = epoch(&ann).await;
    let mut streams = Vec::new();
    for transport in Transport::ALL {
        let mut stream = transport.open(&app, &ann.token).await.unwrap();
        assert_eq!(stream.next().await, StreamItem::Version(4));
        streams.push(stream);
    }
    let failover = async {
        primary.kill();
        standby.start().await;
        has.execute("SELECT pg_promote()").await;
        proxy.redirect_to(standby.port).await;
    };
    // The sockets respond to pings meanwhile.
    let receiving = join_all(streams.iter_mut().map(VersionStream::next));
    let ((), received) = tokio::join!(failover, receiving);
    assert_eq!(received, [const { StreamItem::Version(5) }; 4]);
    assert_reset(&ann, &before, &["A"]).await;
    assert_eq!(ann.add("NEW").await["libraryVersion"], 6);
}
