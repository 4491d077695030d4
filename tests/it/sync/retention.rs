//! Retention: the running server purges old history in bounded steps, and a failure does not block the rest.

use std::time::Duration;

use library_sync::library::Retention;
use sea_orm::ConnectionTrait as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::test_app::{Db, TestApp, TestUser, on_each_database, soon};

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
