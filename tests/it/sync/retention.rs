//! Retention: the running server purges old history in bounded steps, and a failure does not block the rest.

use std::time::Duration;

use library_sync::library::Retention;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{
    servers::Server,
    test_app::{Db, TestApp, TestDatabase, TestUser, on_each_database, soon},
};

const ALL: Retention = Retention {
    history: Duration::ZERO,
    receipts: Duration::ZERO,
};

/// Creates history of each kind, and a receipt.
async fn create_history(user: &TestUser<'_>) {
    let made = user.add("A").await["progress"]["id"].take();
    let input = json!({"id": made, "currentChapter": 7, "idempotencyKey": "k"});
    user.update_progress(input).await;
    let gone = user.add("B").await["progress"]["id"].take();
    user.delete_progress(&gone).await;
}

async fn count(app: &TestApp, table: &str, condition: &str) -> i64 {
    app.db
        .scalar(&format!("SELECT count(*) FROM {table} WHERE {condition}"))
        .await
}

on_each_database! {
    async fn the_running_server_purges(db: Db) {
        let flags = ["--keep-history", "1ms", "--keep-receipts", "1ms", "--purge-every", "100ms"];
        let app = TestApp::start_with(db, &flags).await;
        create_history(&app.user("ann")).await;
        for table in ["topaz_tombstone", "topaz_field_change", "topaz_receipt", "topaz_write"] {
            soon(table, async { while count(&app, table, "true").await > 0 {} }).await;
        }
        assert_eq!(app.db.scalar::<i32>("SELECT library_floor FROM topaz_user").await, 5);
        assert_eq!(app.user("ann").version().await, 5);
    }

    async fn a_row_that_cannot_be_purged_does_not_block_other_purges(db: Db) {
        let app = TestApp::start(db).await;
        for name in ["ann", "bob", "cid"] {
            create_history(&app.user(name)).await;
        }
        let refuse = match db {
            Db::Sqlite => "CREATE TRIGGER t BEFORE DELETE ON topaz_tombstone WHEN OLD.user_id = 'bob' BEGIN SELECT RAISE(ABORT, 'no'); END",
            Db::Postgres => "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
                CREATE TRIGGER t BEFORE DELETE ON topaz_tombstone FOR EACH ROW WHEN (OLD.user_id = 'bob') EXECUTE FUNCTION no();",
        };
        app.db.connect().await.execute_unprepared(refuse).await.unwrap();
        // History that a temporary fault kept is purged the next time.
        soon("the history of all others is purged", async {
            loop {
                assert!(app.library.purge(ALL).await.is_err(), "the fault is reported");
                if count(&app, "topaz_tombstone", "user_id <> 'bob'").await == 0 { break }
            }
        }).await;
        assert_eq!(count(&app, "topaz_receipt", "true").await, 0);
        assert_eq!(count(&app, "topaz_tombstone", "user_id = 'bob'").await, 2);
        assert_eq!(app.db.scalar::<i32>("SELECT library_floor FROM topaz_user WHERE subject = 'bob'").await, 3, "the floor covers exactly the purged history");
    }

    async fn a_history_of_many_batches_is_purged_completely(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let entry = |n: u32| json!({"title": "A", "url": format!("https://example.org/{n}"), "tags": ["t"]});
        let input = json!({"entries": (0..1_200).map(entry).collect::<Vec<_>>()});
        ann.mutate("importLibrary", "ImportLibraryInput", input, "importedCount").await;
        let tag = ann.ask("{ tags { id } }", json!({})).await["tags"][0]["id"].take();
        ann.mutate("deleteTag", "DeleteLabelInput", json!({"id": tag}), "deletedTagId").await;
        assert_eq!(count(&app, "topaz_label_removal", "true").await, 2, "one for each 1,000 stories");
        // A change of each story, made by the same version.
        app.db.execute("INSERT INTO topaz_field_change (user_id, kind, id, stamp, field, was, changed_at) SELECT user_id, 'Story', id, stamp, 'title', '\"B\"', updated_at FROM topaz_story").await;
        assert_eq!(count(&app, "topaz_field_change", "true").await, 1_200);
        app.library.purge(ALL).await.unwrap();
        assert_eq!(count(&app, "topaz_field_change", "true").await, 0);
        assert_eq!(count(&app, "topaz_label_removal", "true").await, 0);
        assert_eq!(count(&app, "topaz_tombstone", "true").await, 0);
        assert_eq!(app.db.scalar::<i32>("SELECT library_floor FROM topaz_user").await, 3);
    }

    async fn a_cancelled_purge_makes_no_further_step(db: Db) {
        let app = TestApp::start(db).await;
        create_history(&app.user("ann")).await;
        let stop = CancellationToken::new();
        stop.cancel();
        let witnessed = app.library.witnessed().await.unwrap();
        soon("it stops", app.library.keep_purging(witnessed, ALL, Duration::from_hours(1), stop)).await;
        assert_eq!(count(&app, "topaz_tombstone", "true").await, 2);
        assert_eq!(count(&app, "topaz_receipt", "true").await, 1);
    }

    async fn a_retention_beyond_the_range_of_time_purges_nothing(db: Db) {
        let app = TestApp::start(db).await;
        create_history(&app.user("ann")).await;
        for longest in [Duration::MAX, Duration::from_secs(u64::from(u32::MAX) * 1_000)] {
            let keep = Retention { history: longest, receipts: longest };
            app.library.purge(keep).await.unwrap();
        }
        assert_eq!(count(&app, "topaz_tombstone", "true").await, 2);
    }
}

/// PostgreSQL keeps the deleted rows as long as an old transaction is open.
#[tokio::test]
async fn a_purge_does_not_scan_the_rows_that_earlier_purges_deleted() {
    let settings = ["shared_preload_libraries=pg_stat_statements", "fsync=off"];
    let postgres = Server::postgres_with(&settings).await;
    let database = TestDatabase::at(postgres.url());
    let app = TestApp::start_on(database.shared(), &["--purge-every", "100ms"]).await;
    app.user("ann").version().await;
    let (old, db) = (app.db.connect().await, app.db.connect().await);
    let run = async |sql: &str| db.execute_unprepared(sql).await.unwrap();
    run("CREATE EXTENSION pg_stat_statements").await;
    old.execute_unprepared(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM topaz_write",
    )
    .await
    .unwrap();
    // One row a second, in 1970.
    let insert = |first: u32, last: u32| {
        format!(
            "INSERT INTO topaz_write (user_id, epoch, version, kinds, written_at) \
             SELECT 'ann', 1, n, '', n * 1000 FROM generate_series({first}, {last}) AS n"
        )
    };
    let purged = async || while count(&app, "topaz_write", "true").await > 0 {};
    run(&insert(1, 60_000)).await;
    soon("the old rows are purged", purged()).await;
    run("SELECT pg_stat_statements_reset()").await;
    for n in 60_001..60_006 {
        run(&insert(n, n)).await;
        soon("the new row is purged", purged()).await;
    }
    let sum = "SELECT sum(shared_blks_hit + shared_blks_read)::bigint, sum(calls)::bigint FROM pg_stat_statements
        WHERE query LIKE 'WITH page%DELETE FROM topaz_write%'";
    let select = Statement::from_string(db.get_database_backend(), sum);
    let row = db.query_one_raw(select).await.unwrap().unwrap();
    let [blocks, runs] = [0, 1].map(|column| row.try_get_by_index::<i64>(column).unwrap());
    assert!(runs >= 5, "{runs}");
    assert!(blocks < 100 * runs, "{blocks} blocks of {runs} purges");
    old.close().await.unwrap();
    db.close().await.unwrap();
}
