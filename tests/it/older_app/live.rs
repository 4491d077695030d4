//! `library-sync adopt --live`: the older app keeps running, a follower copies its changes, and a cut-over ends both.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    adopting::{adopt, entries},
    older_database::{ANN, BOB, Older, dump},
    older_writer::OlderWriter,
};
use crate::{
    commands::command_line::run,
    support::{
        servers::Server,
        test_app::{DEADLINE, TestApp, TestDatabase, TestUser, program, soon, token},
        transport::{StreamItem, Transport},
    },
};

/// `library-sync adopt --live`, killed when this is dropped.
pub struct Follower(Child);

impl Follower {
    pub fn start(database: &TestDatabase) -> Self {
        let mut follow: Command = program();
        follow.args(["adopt", "--live", "--database-url", &database.url]);
        Self(
            follow
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits until it exits.
    async fn ended(mut self) {
        soon("the follower ends", async {
            while self.0.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the database is adopted.
pub async fn until_adopted(database: &TestDatabase) {
    soon("the database is adopted", async {
        let adopted = "SELECT to_regclass('topaz_before.adoption') IS NOT NULL";
        while !database.scalar::<bool>(adopted).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Waits until the follower has copied everything.
pub async fn until_copied(database: &TestDatabase) {
    soon("the follower has copied the changes", async {
        while database
            .scalar::<i64>("SELECT count(*) FROM topaz_before.adoption_change")
            .await
            > 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

const CHANGE: &str = "mutation { createTag(input: {name: \"mine\"}) { libraryVersion } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_older_app_reaches_devices_and_ours_are_refused_until_the_cut_over() {
    let database = Older::A.database().await;
    let mut writer = OlderWriter::new(&database.url, 1);
    let follower = Follower::start(&database);
    until_adopted(&database).await;
    let app = TestApp::start_on(database, &["--heartbeat", "1s"]).await;
    let ann = app.user(ANN);
    let before = ann.version().await;
    let mut watch = ann.watch().await;

    assert_eq!(ann.refused(CHANGE, json!({})).await, "READ_ONLY");
    assert_eq!(ann.version().await, before);

    let story = "20000000-0000-4000-8000-00000000000a";
    let tag = "(SELECT id FROM topaz_tag WHERE name = 'Fluff')";
    for sql in [
        &*format!(
            "INSERT INTO topaz_story (id, public_id, title, url) VALUES ('{story}', 'live', 'Live', 'https://archiveofourown.org/works/777')"
        ),
        &*format!("INSERT INTO topaz_story_tag VALUES ('{story}', {tag})"),
        &*format!(
            "INSERT INTO topaz_progress (id, public_id, user_id, story_id) VALUES (gen_random_uuid(), 'live', '{ANN}', '{story}')"
        ),
    ] {
        writer.execute(sql).await.unwrap();
    }
    until_copied(&app.db).await;
    let found = entries(&ann).await;
    let live = found
        .iter()
        .find(|entry| entry["story"]["id"] == story)
        .unwrap();
    assert_eq!(
        live["story"]["url"],
        "https://archiveofourown.org/works/777#live"
    );
    assert_eq!(live["story"]["tags"][0]["name"], "Fluff");
    assert!(watch.until(ann.version().await).await.len() > 1);
    let device = format!(
        "SELECT device_id FROM topaz_write WHERE user_id = '{ANN}' ORDER BY version DESC LIMIT 1"
    );
    assert_eq!(app.db.scalar::<String>(&device).await, "older-app");

    // Two labels swap names, and a name differs from another only in the form of its sigma.
    let rename =
        |from: &str, to: &str| format!("UPDATE topaz_tag SET name = '{to}' WHERE name = '{from}'");
    let swap = [
        rename("Fluff", "x"),
        rename("Angst", "Fluff"),
        rename("x", "Angst"),
    ]
    .join(";");
    writer.execute(&swap).await.unwrap();
    writer.execute(&rename("Isekai", "ΟΔΥΣΣΕΥΣ")).await.unwrap();
    writer.execute(&rename("LitRPG", "Οδυσσευς")).await.unwrap();
    until_copied(&app.db).await;
    let found = entries(&ann).await;
    let live = found
        .iter()
        .find(|entry| entry["story"]["id"] == story)
        .unwrap();
    assert_eq!(live["story"]["tags"][0]["name"], "Angst");

    // The older app deletes an account with its library.
    writer.execute(&format!("DELETE FROM topaz_account WHERE user_id = '{BOB}'; DELETE FROM topaz_user WHERE id = '{BOB}'")).await.unwrap();
    until_copied(&app.db).await;
    let left = format!("SELECT count(*) FROM topaz_story WHERE user_id = '{BOB}'");
    assert_eq!(app.db.scalar::<i64>(&left).await, 0);
    writer.execute("TRUNCATE topaz_story_fandom").await.unwrap();
    until_copied(&app.db).await;

    let (code, out, error) = run(&["adopt", "--cut-over", "--database-url", &app.db.url]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("equal on both sides"), "{out}");
    follower.ended().await;
    let written = ann.ask(CHANGE, json!({})).await;
    assert!(written["createTag"]["libraryVersion"].as_i64().unwrap() > before);
    let late = writer
        .execute(&format!("DELETE FROM topaz_story WHERE id = '{story}'"))
        .await;
    assert!(
        late.unwrap_err()
            .to_string()
            .contains("moved to library-sync")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_over_is_refused_while_the_sides_differ() {
    let database = Older::C.database().await;
    let follower = Follower::start(&database);
    until_adopted(&database).await;
    let mut writer = OlderWriter::new(&database.url, 1);
    // A term that changes its kind becomes another label, also on its story.
    let term = "UPDATE topaz_taxonomy_term SET kind = 'Fandom' WHERE name = 'Fluff'; \
        UPDATE topaz_taxonomy_term SET name = 'Angst again' WHERE name = 'Angst'";
    writer.execute(term).await.unwrap();
    until_copied(&database).await;
    database.execute("SET library_sync.follows = 'on'; UPDATE topaz_progress SET current_chapter = 77777 WHERE ctid = (SELECT min(ctid) FROM topaz_progress)").await;
    let cut_over = ["adopt", "--cut-over", "--database-url", &database.url];
    let (code, _, error) = run(&cut_over);
    assert_eq!(code, Some(1));
    assert!(
        error.contains("1 entries differ") && error.contains("the progress differs"),
        "{error}"
    );
    // The adoption stays live: the next change of the row repairs the copy.
    writer
        .execute("UPDATE topaz_progress SET updated_at = now()")
        .await
        .unwrap();
    until_copied(&database).await;
    assert_eq!(run(&cut_over).0, Some(0));
    follower.ended().await;
    let (code, _, error) = run(&cut_over);
    assert_eq!(
        (code, error.contains("is cut over")),
        (Some(1), true),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_adoption_can_be_undone_at_any_moment_without_losing_a_row() {
    let database = Older::A.database().await;
    let first = dump(&database);
    let mut follower = Follower::start(&database);
    until_adopted(&database).await;
    follower.kill();
    adopt(&database, &["--undo"]);
    assert_eq!(dump(&database), first);

    let _follower = Follower::start(&database);
    until_adopted(&database).await;
    let mut writer = OlderWriter::new(&database.url, 2);
    for _ in 0..40 {
        writer.make_change().await.unwrap();
    }
    let rows = older_rows(&database, "topaz_before").await;
    adopt(&database, &["--undo"]);
    assert_eq!(older_rows(&database, "public").await, rows);
    // The older app continues on the same connections.
    writer.make_change().await.unwrap();
}

/// All rows of the older app's tables in a schema.
async fn older_rows(database: &TestDatabase, schema: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in [
        "story",
        "progress",
        "tag",
        "fandom",
        "story_tag",
        "story_fandom",
    ] {
        let sql = format!(
            "SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY to_jsonb(t)), '[]')::text FROM {schema}.topaz_{table} t"
        );
        found.push(database.scalar(&sql).await);
    }
    found
}

/// A subscriber that reads versions over a transport and reconnects. Returns the last version once the goal is reached.
fn subscriber(
    app: &Arc<TestApp>,
    transport: Transport,
    user: &'static str,
    newest: tokio::sync::watch::Receiver<i64>,
) -> JoinHandle<i64> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let mut last = 0;
        loop {
            let Ok(mut versions) = transport.open(&app, &token(user)).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mut newest = newest.clone();
            loop {
                let goal = *newest.borrow();
                if goal > 0 && last >= goal {
                    return last;
                }
                let item = tokio::select! {
                    item = versions.next() => item,
                    _ = newest.changed() => continue,
                };
                match item {
                    StreamItem::Version(version) => {
                        assert!(version >= last, "{transport}: {version} after {last}");
                        last = version;
                    }
                    StreamItem::End(_) => break,
                }
            }
        }
    })
}

const ROW: &str = "__typename ... on Tag { id name } ... on Fandom { id name } \
    ... on Story { id title url author wordCount tags { id } fandoms { id } } \
    ... on Progress { id storyId currentChapter readingStatus notes rating } ... on Tombstone { rowId }";

/// Loads the changes since a head into a copy of a library, as a device does. Returns the head of the copy.
async fn sync(user: &TestUser<'_>, copy: &mut BTreeMap<String, Value>, since: Value) -> Value {
    let query = format!(
        "query ($since: Int!, $epoch: ID, $after: String) {{ libraryChanges(since: $since, epoch: $epoch, after: $after) \
         {{ version epoch reset hasMore endCursor changes {{ {ROW} }} }} }}"
    );
    let (mut since, mut after) = (since, Value::Null);
    loop {
        let variables = json!({"since": since["version"], "epoch": since["epoch"], "after": after});
        let mut page = user.ask(&query, variables).await["libraryChanges"].take();
        if page["reset"] == true {
            copy.clear();
            (since, after) = (json!({"version": 0, "epoch": null}), Value::Null);
            continue;
        }
        for change in page["changes"].as_array_mut().unwrap() {
            for labels in ["tags", "fandoms"] {
                // Labels are ordered by name, and a rename does not stamp the stories.
                if let Some(labels) = change[labels].as_array_mut() {
                    labels.sort_by_key(ToString::to_string);
                }
            }
            match change["rowId"].as_str() {
                Some(removed) => copy.remove(removed),
                None => copy.insert(change["id"].as_str().unwrap().to_owned(), change.clone()),
            };
        }
        if page["hasMore"] != true {
            return json!({"version": page["version"], "epoch": page["epoch"]});
        }
        after = page["endCursor"].take();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_live_adoption_loses_no_change_while_follower_and_database_are_killed() {
    let seed = std::env::var("LIBRARY_SYNC_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("LIBRARY_SYNC_TEST_SEED={seed}");
    let long = std::env::var("LIBRARY_SYNC_TEST_LIVE").ok();
    let long = long.map(|text| humantime::parse_duration(&text).expect("LIBRARY_SYNC_TEST_LIVE"));
    let period = long.unwrap_or(Duration::from_secs(15));

    let mut server = Server::postgres().await;
    let database = TestDatabase::at(server.url());
    Older::A.fill(&database).await;
    let mut follower = Follower::start(&database);
    until_adopted(&database).await;
    let app = TestApp::start_on(database, &["--heartbeat", "1s", "--database-wait", "1s"]).await;
    let app = Arc::new(app);
    let mut copies = BTreeMap::new();
    for user in [ANN, BOB] {
        let mut copy = BTreeMap::new();
        let head = sync(
            &app.user(user),
            &mut copy,
            json!({"version": 0, "epoch": null}),
        )
        .await;
        copies.insert(user, (copy, head));
    }
    let (newest, goal) = tokio::sync::watch::channel(0);
    let (newest_of_bob, goal_of_bob) = tokio::sync::watch::channel(0);
    let mut subscribers: Vec<_> = Transport::ALL
        .map(|transport| subscriber(&app, transport, ANN, goal.clone()))
        .into();
    subscribers.extend(
        Transport::ALL.map(|transport| subscriber(&app, transport, BOB, goal_of_bob.clone())),
    );

    let mut rng = fastrand::Rng::with_seed(seed);
    let mut writer = OlderWriter::new(&server.url(), seed);
    let (began, mut changes_made, mut kills) = (Instant::now(), 0, 0);
    while began.elapsed() < period {
        for _ in 0..rng.u8(5..40) {
            changes_made += usize::from(writer.make_change().await.is_ok());
        }
        match rng.u8(0..6) {
            0..=2 => {
                follower.kill();
                follower = Follower::start(&app.db);
            }
            3 => {
                server.kill();
                server.start_if_down().await;
                kills += 1;
            }
            _ => {}
        }
    }
    println!("{changes_made} changes of the older app, {kills} kills of the database");
    assert!(changes_made > 50, "{changes_made}");

    let mut tries = 0;
    loop {
        let (code, out, error) = run(&["adopt", "--cut-over", "--database-url", &app.db.url]);
        if code == Some(0) {
            println!("{out}");
            break;
        }
        tries += 1;
        assert!(tries < 3, "{error}");
    }
    follower.ended().await;
    for (user, goal) in [(ANN, &newest), (BOB, &newest_of_bob)] {
        goal.send_replace(app.user(user).version().await);
    }
    for subscriber in subscribers {
        tokio::time::timeout(DEADLINE, subscriber)
            .await
            .expect("a subscriber reaches the final version")
            .unwrap();
    }
    for (user, (mut copy, head)) in copies {
        sync(&app.user(user), &mut copy, head).await;
        let mut whole = BTreeMap::new();
        sync(
            &app.user(user),
            &mut whole,
            json!({"version": 0, "epoch": null}),
        )
        .await;
        let differ: Vec<_> = copy
            .iter()
            .map(|(id, row)| (row, whole.get(id)))
            .filter(|(row, now)| Some(*row) != *now)
            .collect();
        let missing: Vec<_> = whole.keys().filter(|id| !copy.contains_key(*id)).collect();
        assert!(
            differ.is_empty() && missing.is_empty(),
            "{differ:#?} {missing:?}"
        );
    }
    let rows = older_rows(&app.db, "topaz_before").await;
    app.begin_stop();
    adopt(&app.db, &["--undo"]);
    assert_eq!(older_rows(&app.db, "public").await, rows);
}
