//! Reads of heads: how many statements they cost, and that no user delays or fails another.

use std::collections::BTreeSet;

use futures_util::{FutureExt as _, future::join_all};
use library_sync::{
    library::Error,
    version::{Head, UserId},
};
use sea_orm::ConnectionTrait as _;

use crate::support::{
    statements::Statements,
    test_app::{Db, TestApp, on_each_database, soon},
};

/// The users `prefix-0`, `prefix-1` and so on.
fn users(prefix: &str, count: usize) -> Vec<UserId> {
    let user = |n| UserId::new(&format!("{prefix}-{n}")).unwrap();
    (0..count).map(user).collect()
}

/// The heads of `users`, requested at the same time.
async fn heads(app: &TestApp, users: &[UserId]) -> Vec<Result<Head, Error>> {
    let heads = users.iter().map(|user| app.library.head(user));
    soon("the heads", join_all(heads)).await
}

/// Requests the heads of new and of known users at the same time. The server runs on this thread, so that its statements
/// are counted, and so that all requests arrive before the first statement.
async fn requests_share_statements(db: Db) {
    let statements = Statements::default();
    let _counted = metrics::set_default_local_recorder(&statements);
    let app = TestApp::start(db).await;
    heads(&app, &users("first", 1)).await;
    for (users, most) in [
        (users("new", 32), 2),
        (users("new", 32), 1),
        (users("storm", 1_000), 4),
        // A user's requests share one row.
        (vec![users("new", 1).remove(0); 32], 1),
    ] {
        let before = statements.count();
        let heads = heads(&app, &users).await;
        let cost = statements.count() - before;
        assert!(heads.iter().all(Result::is_ok), "{heads:?}");
        // The server itself may send one meanwhile.
        assert!(cost <= most + 1, "{cost} statements for {}", users.len());
    }
}

#[tokio::test]
async fn heads_requested_at_the_same_time_share_statements_on_sqlite() {
    requests_share_statements(Db::Sqlite).await;
}

#[tokio::test]
async fn heads_requested_at_the_same_time_share_statements_on_postgres() {
    requests_share_statements(Db::Postgres).await;
}

/// Refuses to create the user `nobody`.
fn refuse_nobody(db: Db) -> &'static str {
    match db {
        Db::Sqlite => {
            "CREATE TRIGGER nobody BEFORE INSERT ON topaz_user WHEN NEW.subject = 'nobody'
             BEGIN SELECT RAISE(ABORT, 'nobody'); END"
        }
        Db::Postgres => "ALTER TABLE topaz_user ADD CHECK (subject <> 'nobody')",
    }
}

on_each_database! {
    async fn a_head_is_read_after_its_request(db: Db) {
        let app = TestApp::start(db).await;
        let ann = UserId::new("ann").unwrap();
        app.library.head(&ann).await.unwrap();
        let others = (0..4).map(|_| {
            let (library, ann) = (app.library.clone(), ann.clone());
            tokio::spawn(async move { while library.head(&ann).await.is_ok() {} })
        });
        let others: Vec<_> = others.collect();
        let connection = app.db.connect().await;
        for version in 2..200 {
            let bump = format!("UPDATE topaz_user SET library_version = {version} WHERE subject = 'ann'");
            connection.execute_unprepared(&bump).await.unwrap();
            let head = soon("a head", app.library.head(&ann)).await.unwrap();
            assert_eq!(head.version.number(), version);
        }
        others.iter().for_each(tokio::task::JoinHandle::abort);
        connection.close().await.unwrap();
    }

    async fn users_created_together_have_different_epochs(db: Db) {
        let app = TestApp::start(db).await;
        let mut epochs = BTreeSet::new();
        for prefix in ["a", "b"] {
            for head in heads(&app, &users(prefix, 100)).await {
                epochs.insert(head.unwrap().epoch);
            }
        }
        assert_eq!(epochs.len(), 200);
    }

    async fn a_user_who_cannot_be_created_fails_alone(db: Db) {
        let app = TestApp::start(db).await;
        app.db.execute(refuse_nobody(db)).await;
        let mut users = users("new", 9);
        users.insert(4, UserId::new("nobody").unwrap());
        for (user, head) in users.iter().zip(heads(&app, &users).await) {
            assert_eq!(head.is_err(), user.as_str() == "nobody", "{user}: {head:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_row_is_locked_delays_no_other_user() {
    let app = TestApp::start(Db::Postgres).await;
    let connection = app.db.connect().await;
    let begin = "BEGIN; INSERT INTO topaz_user (subject) VALUES ('locked')";
    connection.execute_unprepared(begin).await.unwrap();
    let locked = UserId::new("locked").unwrap();
    let first = tokio::spawn({
        let (library, locked) = (app.library.clone(), locked.clone());
        async move { library.head(&locked).await }
    });
    let others = users("together", 5);
    // Requested with the others, so it joins their statement.
    let mut again = Box::pin(app.library.head(&locked));
    assert!(again.as_mut().now_or_never().is_none());
    let heads = others.iter().map(|user| app.library.head(user));
    for head in soon("the heads of the others", join_all(heads)).await {
        head.unwrap();
    }
    for user in users("after", 5) {
        soon("the head of a later user", app.library.head(&user))
            .await
            .unwrap();
    }
    assert!(!first.is_finished() && again.as_mut().now_or_never().is_none());
    connection.execute_unprepared("COMMIT").await.unwrap();
    soon("the head of the locked user", first)
        .await
        .unwrap()
        .unwrap();
    soon("the head of the locked user", again).await.unwrap();
    connection.close().await.unwrap();
}
