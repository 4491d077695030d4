//! A user whose changes cannot be copied does not hold up a live adoption.

use super::{
    live::{Follower, until_adopted, until_copied},
    older_database::{ANN, BOB, Older},
    older_writer::OlderWriter,
};
use crate::support::test_app::{TestDatabase, soon};

const CHAPTER: &str = "UPDATE topaz_progress SET current_chapter = 4242";

/// The number of copied progresses that the change has not reached.
async fn unchanged(database: &TestDatabase, user: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM topaz_progress WHERE user_id = '{user}' AND current_chapter <> 4242"
    );
    database.scalar(&sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_versions_are_exhausted_is_followed_in_a_new_epoch() {
    let database = Older::A.database().await;
    let _follower = Follower::start(&database);
    until_adopted(&database).await;
    let epoch = format!("SELECT library_epoch FROM topaz_user WHERE subject = '{ANN}'");
    let before: i64 = database.scalar(&epoch).await;
    let exhaust =
        format!("UPDATE topaz_user SET library_version = 2147483647 WHERE subject = '{ANN}'");
    database.execute(&exhaust).await;
    let mut writer = OlderWriter::new(&database.url, 1);
    writer.execute(CHAPTER).await.unwrap();
    until_copied(&database).await;
    for user in [ANN, BOB] {
        assert_eq!(unchanged(&database, user).await, 0, "{user}");
    }
    assert!(database.scalar::<i64>(&epoch).await > before);
    let version = format!("SELECT library_version FROM topaz_user WHERE subject = '{ANN}'");
    assert_eq!(database.scalar::<i32>(&version).await, 2);
    // Nobody else may change the library.
    let change = format!("UPDATE topaz_story SET title = 'x' WHERE user_id = '{ANN}'");
    let refused =
        sea_orm::ConnectionTrait::execute_unprepared(&database.connect().await, &change).await;
    assert!(refused.unwrap_err().to_string().contains("read-only"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whose_changes_cannot_be_copied_is_skipped_and_tried_again() {
    let database = Older::A.database().await;
    let _follower = Follower::start(&database);
    until_adopted(&database).await;
    let fault = format!(
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a fault'; END $$;
         CREATE TRIGGER fault BEFORE INSERT OR UPDATE ON public.topaz_progress FOR EACH ROW
         WHEN (NEW.user_id = '{BOB}') EXECUTE FUNCTION fault()"
    );
    database.execute(&fault).await;
    let mut writer = OlderWriter::new(&database.url, 1);
    // More changes than are read at once.
    let many = format!(
        "DO $$ BEGIN FOR n IN 1..1500 LOOP
           UPDATE topaz_progress SET current_chapter = n
           WHERE id = (SELECT id FROM topaz_progress WHERE user_id = '{BOB}' LIMIT 1);
         END LOOP; END $$"
    );
    writer.execute(&many).await.unwrap();
    writer.execute(CHAPTER).await.unwrap();
    soon("the changes of the other user are copied", async {
        while unchanged(&database, ANN).await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(unchanged(&database, BOB).await > 0);
    database
        .execute("DROP TRIGGER fault ON public.topaz_progress")
        .await;
    until_copied(&database).await;
    assert_eq!(unchanged(&database, BOB).await, 0);
}
