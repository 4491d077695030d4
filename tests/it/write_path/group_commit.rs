//! Concurrent changes of different users on SQLite share a commit, and none is answered before it.

use futures_util::future::{join, join_all};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::{Value, json};

use crate::support::test_app::{Db, TestDatabase, TestProcess, error_code, soon};

const TAG: &str = "mutation ($name: String!) { createTag(input: {name: $name}) { libraryVersion refusal { code } } }";

const UNLIMITED: [&str; 4] = ["--max-user-rate", "0", "--max-address-rate", "0"];

/// A server, and a connection of another process to its database.
struct Rig {
    server: TestProcess,
    other: DatabaseConnection,
    _database: TestDatabase,
}

impl Rig {
    async fn start(flags: &[&str]) -> Self {
        let database = TestDatabase::new(Db::Sqlite).await;
        let flags = [&UNLIMITED[..], flags].concat();
        Self {
            server: TestProcess::serve(&database.url, &flags).await,
            other: database.connect().await,
            _database: database,
        }
    }

    /// Creates a tag.
    async fn create(&self, user: &str, name: &str) -> Value {
        let sent = self.server.send(user, TAG, json!({"name": name}));
        sent.await.unwrap()
    }

    /// The user's version in the file. Each tag of the user moved it by one.
    async fn stored(&self, user: &str) -> i64 {
        let sql = "SELECT library_version, (SELECT count(*) FROM topaz_tag WHERE user_id = subject) FROM topaz_user \
             WHERE subject = $1";
        let backend = self.other.get_database_backend();
        let select = Statement::from_sql_and_values(backend, sql, [user.into()]);
        let Some(row) = self.other.query_one_raw(select).await.unwrap() else {
            return 1;
        };
        let (version, tags): (i64, i64) = row.try_get_many_by_index().unwrap();
        assert_eq!(version, 1 + tags, "{user}");
        version
    }

    async fn execute(&self, sql: &str) {
        self.other.execute_unprepared(sql).await.unwrap();
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user {number}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_many_users_share_commits_and_are_stored_before_they_are_answered() {
    let rig = Rig::start(&[]).await;
    let users = names(64);
    join_all(users.iter().map(|user| rig.create(user, "first"))).await;
    let counters = [
        "library_sync_changes_total",
        "library_sync_group_commits_total",
    ];
    let count = async || {
        let [changes, commits] = counters.map(|name| rig.server.counter(name));
        join(changes, commits).await
    };
    let before = count().await;
    let changes = users.iter().enumerate().map(async |(number, user)| {
        // A refused change is rolled back, and the others of its group stay.
        let is_refused = number % 4 == 0;
        let name = if is_refused { "first" } else { "second" };
        let answer = rig.create(user, name).await;
        let version = rig.stored(user).await;
        let tag = &answer["data"]["createTag"];
        assert_eq!(tag["refusal"].is_object(), is_refused, "{answer}");
        assert_eq!(version, if is_refused { 2 } else { 3 });
        assert_eq!(tag["libraryVersion"], version, "{answer}");
    });
    join_all(changes).await;
    let after = count().await;
    let (changes, commits) = (after.0 - before.0, after.1 - before.1);
    assert!((changes - 48.0).abs() < 0.5, "{changes} changes");
    assert!(commits <= 24.0, "{commits} commits of {changes} changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_stores_and_announces_none_of_its_changes() {
    let rig = Rig::start(&["--heartbeat", "300ms"]).await;
    // The foreign key is checked at COMMIT.
    rig.execute(
        "CREATE TABLE poison (id blob REFERENCES topaz_poison (id) DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    rig.execute("CREATE TABLE topaz_poison (id blob PRIMARY KEY)")
        .await;
    rig.execute(
        "CREATE TRIGGER poison AFTER INSERT ON topaz_tag WHEN NEW.name = 'poison' \
         BEGIN INSERT INTO poison VALUES (NEW.id); END",
    )
    .await;
    let users = names(20);
    let mut streams = join_all(users.iter().map(|user| rig.server.watch(user))).await;
    let failed = soon("a group fails", async {
        for round in 0.. {
            let name = round.to_string();
            let poison = rig.create("poisoner", "poison");
            let changes = join_all(users.iter().map(|user| rig.create(user, &name)));
            let (poison, changes) = join(poison, changes).await;
            assert_eq!(error_code(&poison), "INTERNAL_SERVER_ERROR", "{poison}");
            assert_eq!(rig.stored("poisoner").await, 1);
            let mut failed = None;
            for (number, answer) in changes.iter().enumerate() {
                let stored = rig.stored(&users[number]).await;
                let answered = &answer["data"]["createTag"]["libraryVersion"];
                if answered.is_null() {
                    assert_eq!(error_code(answer), "INTERNAL_SERVER_ERROR", "{answer}");
                    failed = Some((number, stored));
                } else {
                    assert_eq!(*answered, stored, "{answer}");
                }
            }
            if failed.is_some() {
                return failed;
            }
        }
        None
    })
    .await;
    let (number, stored) = failed.unwrap();
    // The stream has received each version that was stored, and no other.
    let stream = &mut streams[number];
    stream.until(stored).await;
    for _ in 0..2 {
        let event = stream.next().await.unwrap();
        assert_eq!(
            (&event["type"], &event["version"]),
            (&json!("heartbeat"), &json!(stored))
        );
    }
    let answer = rig.create(&users[number], "after").await;
    assert_eq!(
        answer["data"]["createTag"]["libraryVersion"],
        stored + 1,
        "{answer}"
    );
    stream.until(stored + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_sends_many_changes_delays_no_other() {
    let rig = Rig::start(&[]).await;
    let names = names(200);
    let hers = join_all(names.iter().map(|name| rig.create("eve", name)));
    let his = async {
        soon("the first of hers", async {
            while rig.stored("eve").await == 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for name in &names[..5] {
            rig.create("bob", name).await;
        }
        assert_eq!(rig.stored("bob").await, 6);
        rig.stored("eve").await
    };
    let (_, hers_then) = join(hers, his).await;
    assert!(hers_then < 150, "{hers_then} of hers came before 5 of his");
    assert_eq!(rig.stored("eve").await, 201);
}
