//! A database without the tables and columns that this version needs is detected before it is used.

use std::time::Duration;

use library_sync::{
    address::DatabaseAddress,
    library::{Database, DatabaseOptions, Opening},
};
use reqwest::StatusCode;
use sea_orm::ConnectionTrait as _;

use super::{
    adopting::adopt,
    older_database::{Older, dump},
};
use crate::{
    commands::command_line::run,
    database::schema_upgrade::migrate,
    support::test_app::{DEADLINE, Db, SECRET, TestApp, TestDatabase, on_each_database, soon},
};

#[tokio::test]
async fn every_command_refuses_the_older_apps_database_before_it_changes_anything() {
    for older in [Older::A, Older::B, Older::C, Older::D, Older::HalfMigrated] {
        let database = older.database().await;
        let before = dump(&database);
        for command in [
            &["migrate", "up"][..],
            &["migrate", "down"],
            &["migrate", "status"],
            &["serve", "--jwt-secret", SECRET],
            &["serve", "--jwt-secret", SECRET, "--no-migrate"],
            &["import", "--sub", "ann", "tests/imports/ao3.csv"],
            &["export", "--sub", "ann"],
            &["epoch", "new"],
        ] {
            let database_url = ["--database-url", &database.url];
            let (code, _, error) = run(&[command, &database_url].concat());
            assert_eq!(code, Some(1), "{older:?} {command:?}: {error}");
            let advice = match older {
                Older::D => "cannot adopt",
                _ => "library-sync adopt",
            };
            assert!(error.contains(advice), "{older:?} {command:?}: {error}");
            assert!(error.contains("--database-url"), "{error}");
        }
        assert_eq!(dump(&database), before, "{older:?}");
    }
}

async fn readyz(app: &TestApp) -> (StatusCode, String) {
    let request = app.http.get(app.url("/readyz"));
    let response = soon("a response", request.send()).await.unwrap();
    (response.status(), response.text().await.unwrap())
}

on_each_database! {
    async fn a_server_on_a_database_without_its_tables_is_not_ready_with_a_reason(db: Db) {
        let database = TestDatabase::new(db).await;
        if db == Db::Sqlite {
            // The server does not create the file without migrating it.
            migrate(&database, &["up"]);
            migrate(&database, &["down", "--steps", "1000"]);
        }
        let app = TestApp::start_on(database, &["--no-migrate"]).await;
        let (status, why) = readyz(&app).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(why.contains("table topaz_user") && why.contains("migrate up"), "{why}");
        migrate(&app.db, &["up"]);
        soon("the server is ready", async {
            while readyz(&app).await.0 != StatusCode::OK {}
        })
        .await;
        assert_eq!(app.user("ann").version().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_adoption_is_undone_is_not_ready() {
    let database = Older::A.database().await;
    adopt(&database, &[]);
    let app = TestApp::start_on(database, &[]).await;
    assert_eq!(readyz(&app).await.0, StatusCode::OK);
    adopt(&app.db, &["--undo"]);
    let why = soon("the server is not ready", async {
        loop {
            if let (StatusCode::SERVICE_UNAVAILABLE, why) = readyz(&app).await {
                return why;
            }
        }
    })
    .await;
    assert!(why.contains("lacks the column topaz_user.subject"), "{why}");
}

on_each_database! {
    async fn a_server_whose_newest_migration_is_reverted_is_not_ready(db: Db) {
        let app = TestApp::start(db).await;
        assert_eq!(readyz(&app).await.0, StatusCode::OK);
        let until = async |status| {
            soon("another answer", async {
                loop {
                    let (found, why) = readyz(&app).await;
                    if found == status {
                        return why;
                    }
                }
            })
            .await
        };
        migrate(&app.db, &["down"]);
        let why = until(StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(why.contains("lacks the column topaz_write.traceparent"), "{why}");
        migrate(&app.db, &["up"]);
        until(StatusCode::OK).await;
        assert_eq!(app.user("ann").add("A").await["libraryVersion"], 2);
    }
}

on_each_database! {
    async fn a_server_on_a_database_without_a_column_is_not_ready_and_names_it(db: Db) {
        let database = TestDatabase::new(db).await;
        migrate(&database, &["up"]);
        database.execute("ALTER TABLE topaz_tombstone DROP COLUMN held").await;
        let app = TestApp::start_on(database, &["--no-migrate"]).await;
        let (status, why) = readyz(&app).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(why.contains("column topaz_tombstone.held"), "{why}");
    }
}

on_each_database! {
    async fn the_schema_that_a_server_needs_is_the_schema_that_it_migrates_to(db: Db) {
        let database = TestDatabase::new(db).await;
        migrate(&database, &["up"]);
        let columns = match db {
            Db::Postgres => "SELECT string_agg(table_name || '.' || column_name, ' ') FROM information_schema.columns
                WHERE table_schema = 'public'",
            Db::Sqlite => "SELECT group_concat(m.name || '.' || c.name, ' ') FROM sqlite_master m,
                pragma_table_info(m.name) c WHERE m.type = 'table'",
        };
        let columns: String = database.scalar(columns).await;
        let options = DatabaseOptions {
            address: DatabaseAddress::parse(&database.url).unwrap(),
            replica: None,
            max_replica_lag: Duration::ZERO,
            opening: Opening::Change,
            max_connections: 1,
            acquire_timeout: DEADLINE,
            statement_timeout: DEADLINE,
            max_user_reads: None,
        };
        let opened = Database::connect(&options).await.unwrap();
        assert_eq!(opened.missing_schema().await.unwrap(), None);
        let rename = database.connect().await;
        for column in columns.split(' ') {
            // Columns that only the older app and the migrator read.
            if column == "topaz_user.id" || column.starts_with("seaql_migrations.") {
                continue;
            }
            let (table, name) = column.split_once('.').unwrap();
            let away = format!("ALTER TABLE {table} RENAME COLUMN {name} TO away");
            rename.execute_unprepared(&away).await.unwrap();
            let missing = opened.missing_schema().await.unwrap();
            assert_eq!(missing, Some(format!("column {column}")));
            let back = format!("ALTER TABLE {table} RENAME COLUMN away TO {name}");
            rename.execute_unprepared(&back).await.unwrap();
        }
        rename.close().await.unwrap();
    }
}
