//! Database constraints refuse rows that the server never writes.

use library_sync::{
    address::DatabaseAddress,
    library::{DatabaseOptions, Opening},
};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;

use crate::support::test_app::{DEADLINE, Db, TestApp, on_each_database};

on_each_database! {
    async fn database_constraints_refuse_invalid_rows(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        let tag = ann.create_tag("a").await["tag"]["id"].take();
        let fandom = ann.mutate("createFandom", "CreateLabelInput", json!({"name": "f"}), "fandom { id }").await;
        assert!(fandom["fandom"]["id"].is_string());
        let input = json!({"title": "A", "url": "https://example.org/a", "tagIds": [tag], "rating": 4.5, "notes": "n"});
        ann.create_story(input).await;
        ann.add("B").await;
        let connection = app.db.connect().await;
        let (first, second) = ("WHERE url = 'https://example.org/a'", "WHERE url <> 'https://example.org/a'");
        let copy = |table: &str, id: &str| format!(
            "INSERT INTO {table} (user_id, id, stamp, name, name_key, created_at, updated_at)
             SELECT user_id, {id}, stamp, 'again', name_key, 0, 0 FROM {table}"
        );
        let id = match db {
            Db::Sqlite => "randomblob(16)",
            Db::Postgres => "gen_random_uuid()",
        };
        for sql in [
            "UPDATE topaz_progress SET rating = 51".to_owned(),
            "UPDATE topaz_progress SET rating = -1".to_owned(),
            "UPDATE topaz_progress SET current_chapter = -1".to_owned(),
            "UPDATE topaz_progress SET story_id = id".to_owned(),
            format!("UPDATE topaz_progress SET story_id = (SELECT id FROM topaz_story {first})"),
            format!("UPDATE topaz_story SET url = 'https://example.org/a' {second}"),
            "UPDATE topaz_story SET title = ''".to_owned(),
            "UPDATE topaz_story SET chapter_count = -1".to_owned(),
            "UPDATE topaz_story SET word_count = -1".to_owned(),
            copy("topaz_tag", id),
            copy("topaz_fandom", id),
            "UPDATE topaz_tag SET name = ''".to_owned(),
            "UPDATE topaz_story_tag SET story_id = tag_id".to_owned(),
            "DELETE FROM topaz_story".to_owned(),
            "UPDATE topaz_user SET library_version = NULL".to_owned(),
        ] {
            // SQLite checks foreign keys only if enabled; this connection enables them like the server's.
            let refused = connection.execute_unprepared(&sql).await;
            assert!(refused.is_err(), "{sql}");
        }
        connection.execute_unprepared("UPDATE topaz_progress SET rating = 50").await.unwrap();
        connection.execute_unprepared(&format!("UPDATE topaz_story SET url = 'https://example.org/b' {second}")).await.unwrap();
    }
}

#[tokio::test]
async fn the_servers_sqlite_connection_is_durable_and_checks_foreign_keys() {
    let app = TestApp::start(Db::Sqlite).await;
    // On SQLite, migrations run on the connection that writes.
    let options = DatabaseOptions {
        address: DatabaseAddress::parse(&app.db.url).unwrap(),
        replica: None,
        opening: Opening::Change,
        max_replica_lag: std::time::Duration::ZERO,
        max_connections: 1,
        acquire_timeout: DEADLINE,
        statement_timeout: DEADLINE,
        max_user_reads: None,
    };
    let database = app.library.database();
    let db = database.open_for_migrations(&options).await.unwrap();
    let pragma = async |name: &str| {
        let sql = format!("SELECT CAST({name} AS text) FROM pragma_{name}");
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let row = db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<String>(0).unwrap()
    };
    assert_eq!(pragma("journal_mode").await, "wal");
    assert_eq!(pragma("synchronous").await, "2", "FULL");
    assert_eq!(pragma("foreign_keys").await, "1");
}
