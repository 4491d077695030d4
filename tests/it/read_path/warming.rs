//! `warm`: the entries that a reader most likely opens next.

use std::time::Duration;

use library_sync::library::Retention;
use serde_json::{Value, json};

use crate::{
    support::{
        socket::Socket,
        test_app::{TestApp, TestUser, on_each_database, soon},
    },
    write_path::erasure::{confirmation, erase},
};

/// Two half-lives of a use, in milliseconds.
const TWO_HALF_LIVES: i64 = 28 * 24 * 3_600_000;

async fn opened(user: &TestUser<'_>, id: &Value) -> Value {
    let input = json!({"progressId": id, "device": {"id": "phone", "name": "Phone"}});
    let mut opened = user.mutate("opened", "OpenedInput", input, "").await;
    opened["refusal"].take()
}

async fn warm(user: &TestUser<'_>, first: Option<i32>) -> Vec<Value> {
    let query = "query ($first: Int) { warm(first: $first) { id story { title } } }";
    let answer = user.ask(query, json!({"first": first})).await;
    let warm = answer["warm"].as_array().unwrap();
    assert!(
        warm.iter()
            .all(|progress| progress["story"]["title"].is_string())
    );
    warm.iter().map(|progress| progress["id"].clone()).collect()
}

/// Adds entries, and returns the ids of their progresses.
async fn add<const N: usize>(user: &TestUser<'_>, titles: [&str; N]) -> [Value; N] {
    let mut ids = titles.map(|_| Value::Null);
    for (id, title) in ids.iter_mut().zip(titles) {
        *id = user.add(title).await["progress"]["id"].take();
    }
    ids
}

async fn stored(app: &TestApp) -> i64 {
    app.library.save_uses().await.unwrap();
    app.db.scalar("SELECT count(*) FROM topaz_usage").await
}

/// The score of the only row.
async fn score(app: &TestApp) -> i64 {
    app.library.save_uses().await.unwrap();
    app.db.scalar("SELECT score FROM topaz_usage").await
}

on_each_database! {
    async fn what_is_used_most_and_last_is_warm_and_no_version_moves(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let [a, b, c, d] = add(&ann, ["A", "B", "C", "D"]).await;
        let [other] = add(&bob, ["of bob"]).await;
        assert_eq!(warm(&ann, None).await, [&d, &c, &b, &a].map(Clone::clone), "without a use, what changed last");
        let mut stream = ann.watch().await;
        stream.until(5).await;
        // A use counts at once where it was reported, and then for all servers.
        assert_eq!(opened(&ann, &c).await, Value::Null);
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(opened(&ann, &b).await, Value::Null);
        assert_eq!(warm(&ann, Some(3)).await, [b.clone(), c.clone(), d.clone()]);
        assert_eq!(stored(&app).await, 2);
        assert_eq!(warm(&ann, Some(3)).await, [b.clone(), c.clone(), d.clone()]);
        // Three uses two half-lives ago weigh less than one now.
        let three = 1.585 * 14.0 * 24.0 * 3_600_000.0 - 28.0 * 24.0 * 3_600_000.0;
        app.db.execute(&format!("UPDATE topaz_usage SET score = score + {three:.0}, used_at = used_at - {TWO_HALF_LIVES}")).await;
        opened(&ann, &a).await;
        assert_eq!(warm(&ann, Some(2)).await, [a.clone(), b.clone()]);
        assert_eq!(stored(&app).await, 3);
        assert_eq!(warm(&ann, Some(2)).await, [a.clone(), b.clone()]);
        // Progress on B is a use too, and makes it more than A.
        assert_eq!(ann.update_progress(json!({"id": b, "currentChapter": 3})).await["refusal"], Value::Null);
        assert_eq!(warm(&ann, Some(3)).await, [b.clone(), a.clone(), c.clone()]);
        assert_eq!(stored(&app).await, 3);
        assert_eq!(warm(&ann, Some(3)).await, [b.clone(), a.clone(), c.clone()]);
        // A change that changes nothing, or of a story, is not a use.
        ann.update_progress(json!({"id": d, "currentChapter": 0})).await;
        assert_eq!(stored(&app).await, 3);
        assert_eq!(ann.version().await, 6);
        for id in [&other, &json!("00000000-0000-4000-8000-000000000000")] {
            let refusal = opened(&ann, id).await;
            assert_eq!((&refusal["code"], &refusal["field"]), (&json!("NOT_FOUND"), &json!("progressId")));
        }
        assert_eq!(warm(&bob, None).await, [other]);
        assert_eq!(warm(&ann, Some(0)).await, [] as [Value; 0]);
        for wrong in [-1, 101] {
            let code = ann.refused("query ($first: Int) { warm(first: $first) { id } }", json!({"first": wrong})).await;
            assert_eq!(code, "BAD_USER_INPUT");
        }
        let devices = ann.ask("{ viewer { devices { id name } } }", json!({})).await;
        assert_eq!(devices["viewer"]["devices"], json!([{"id": "phone", "name": "Phone"}]));
    }

    async fn an_entry_is_counted_once_a_minute_and_its_score_goes_with_it_and_with_time(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let [a, b] = add(&ann, ["A", "B"]).await;
        opened(&ann, &a).await;
        let first = score(&app).await;
        opened(&ann, &a).await;
        assert_eq!(score(&app).await, first, "within a minute");
        app.db.execute("UPDATE topaz_usage SET used_at = used_at - 60001").await;
        opened(&ann, &a).await;
        let (second, half_life) = (score(&app).await, TWO_HALF_LIVES / 2);
        assert!((second - first - half_life).abs() < 60_000, "two uses are twice one: {first} {second}");
        // Reported and deleted before it is stored.
        opened(&ann, &b).await;
        ann.delete_progress(&b).await;
        assert_eq!(stored(&app).await, 1);
        ann.delete_progress(&a).await;
        assert_eq!(stored(&app).await, 0, "a progress takes its score along");
        let [c] = add(&ann, ["C"]).await;
        opened(&ann, &c).await;
        assert_eq!(stored(&app).await, 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
        app.library.purge(Retention { history: Duration::ZERO, receipts: Duration::ZERO }).await.unwrap();
        assert_eq!(stored(&app).await, 0, "kept as long as the history");
    }

    async fn an_event_names_the_changed_entries_that_are_warm(db: Db) {
        let app = TestApp::start_with(db, &["--max-user-rate", "0"]).await;
        let ann = app.user("ann");
        let [a, cold] = add(&ann, ["A", "cold"]).await;
        for n in 0..19 {
            let [id] = add(&ann, [format!("other {n}").as_str()]).await;
            opened(&ann, &id).await;
        }
        opened(&ann, &a).await;
        let story = "query ($id: ID!) { progress(id: $id) { story { id } } }";
        let story = ann.ask(story, json!({"id": cold})).await["progress"]["story"]["id"].take();
        let mut socket = Socket::of(&app, &ann.token).await;
        socket.subscribe("1", "subscription { libraryEvents { kind warm } }").await;
        let next = async |socket: &mut Socket| soon("an event", socket.next()).await["payload"]["data"]["libraryEvents"].take();
        assert_eq!(next(&mut socket).await, json!({"kind": "CONNECTED", "warm": []}));
        ann.update_progress(json!({"id": a, "notes": "warm"})).await;
        assert_eq!(next(&mut socket).await, json!({"kind": "CHANGED", "warm": [a]}));
        // 20 others are likelier.
        ann.update_story(json!({"id": story, "title": "colder"})).await;
        assert_eq!(next(&mut socket).await, json!({"kind": "CHANGED", "warm": []}));
        // A label is not an entry.
        ann.create_tag("t").await;
        assert_eq!(next(&mut socket).await, json!({"kind": "CHANGED", "warm": []}));
    }

    async fn uses_are_stored_when_the_server_stops_and_none_after_an_erasure(db: Db) {
        let mut app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        let ([a], [b]) = (add(&ann, ["A"]).await, add(&bob, ["B"]).await);
        opened(&bob, &b).await;
        opened(&ann, &a).await;
        erase(&bob, &confirmation(&bob).await).await;
        app.stop().await;
        for sql in ["SELECT count(*) FROM topaz_usage WHERE user_id = 'ann'", "SELECT count(*) FROM topaz_usage"] {
            assert_eq!(app.db.scalar::<i64>(sql).await, 1);
        }
    }
}
