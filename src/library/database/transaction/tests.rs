//! Tests of the invariants of a transaction and its connection, on SQLite and PostgreSQL.

mod write_group;

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::library::database::{options::DatabaseOptions, pools::Database};

/// A database with a table of one column.
struct Fixture {
    db: Database,
    options: DatabaseOptions,
    _folder: TempDir,
}

impl Fixture {
    async fn sqlite() -> Self {
        Self::sqlite_that_waits(Duration::from_secs(5)).await
    }

    /// A database whose users wait at most so long for a connection.
    async fn sqlite_that_waits(wait: Duration) -> Self {
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let path = folder.path().join("library.db");
        Self::at(
            format!("sqlite://{}?mode=rwc", path.display()),
            folder,
            wait,
        )
        .await
    }

    async fn postgres() -> Self {
        let server = std::env::var("LIBRARY_SYNC_TEST_POSTGRES")
            .expect("LIBRARY_SYNC_TEST_POSTGRES: run the tests by scripts/test");
        let name = format!("test_{}", Uuid::now_v7().simple());
        let admin = sea_orm::Database::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        admin.execute_unprepared(&create).await.unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        Self::at(url.into(), folder, Duration::from_secs(5)).await
    }

    async fn at(url: String, folder: TempDir, wait: Duration) -> Self {
        let options = DatabaseOptions {
            acquire_timeout: wait,
            ..DatabaseOptions::for_test(&url)
        };
        let db = Database::connect(&options).await.unwrap();
        let table = "CREATE TABLE number (n integer NOT NULL CHECK (n > 0))";
        db.write.execute_unprepared(table).await.unwrap();
        Self {
            db,
            options,
            _folder: folder,
        }
    }

    async fn begin(&self) -> Transaction {
        Transaction::begin(&self.db.write, Purpose::Write)
            .await
            .unwrap()
    }

    /// The numbers that another connection reads.
    async fn stored(&self) -> Vec<i32> {
        let select = "SELECT n FROM number ORDER BY n";
        let select = Statement::from_string(self.db.probe.get_database_backend(), select);
        let rows = self.db.probe.query_all_raw(select).await.unwrap();
        rows.iter()
            .map(|row| row.try_get_by_index(0).unwrap())
            .collect()
    }
}

async fn insert(db: &impl ConnectionTrait, number: i32) -> Result<(), DbErr> {
    let sql = format!("INSERT INTO number VALUES ({number})");
    db.execute_unprepared(&sql).await.map(|_| ())
}

macro_rules! on_each_database {
    ($(async fn $rule:ident($fixture:ident: Fixture) $body:block)*) => {$(
        mod $rule {
            use super::*;

            async fn rule($fixture: Fixture) $body

            #[tokio::test]
            async fn on_sqlite() {
                rule(Fixture::sqlite().await).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                rule(Fixture::postgres().await).await;
            }
        }
    )*};
}

on_each_database! {
    async fn nothing_is_committed_after_a_failed_statement(fixture: Fixture) {
        let tx = fixture.begin().await;
        insert(&tx, 1).await.unwrap();
        insert(&tx, -1).await.unwrap_err();
        insert(&tx, 2).await.unwrap_err();
        tx.commit().await.unwrap_err();
        let tx = fixture.begin().await;
        insert(&tx, 3).await.unwrap();
        insert(&tx, -1).await.unwrap_err();
        tx.roll_back().await.unwrap();
        assert_eq!(fixture.stored().await, [0; 0]);
    }

    async fn a_commit_that_the_database_rolled_back_is_an_error(fixture: Fixture) {
        let mut tx = fixture.begin().await;
        insert(&tx, 1).await.unwrap();
        // Bypasses the state: SQLite rolls back on a full disk, and PostgreSQL aborts after an error.
        let connection = tx.link.get_mut().connection().unwrap();
        let _ = connection.send("ROLLBACK").await;
        if let Connection::Postgres(_) = connection {
            connection.send("BEGIN").await.unwrap();
            connection.send("SELECT 1 / 0").await.unwrap_err();
        }
        tx.commit().await.unwrap_err();
        assert_eq!(fixture.stored().await, [0; 0]);
    }

    async fn dropping_a_transaction_rolls_back_and_replaces_its_connection(fixture: Fixture) {
        for number in 1..4 {
            let tx = fixture.begin().await;
            insert(&tx, number).await.unwrap();
        }
        let tx = fixture.begin().await;
        insert(&tx, 9).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(fixture.stored().await, [9]);
    }

    async fn a_connection_left_in_a_transaction_is_not_reused(fixture: Fixture) {
        let write = &fixture.db.write;
        // The pool does not know of this BEGIN, as after a cancelled one.
        write.execute_unprepared("BEGIN").await.unwrap();
        let begun = Transaction::begin(write, Purpose::Write).await;
        let tx = match begun {
            Ok(tx) => tx,
            // SQLite detects it at the next begin.
            Err(_) => fixture.begin().await,
        };
        insert(&tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(fixture.stored().await, [1]);
    }

    async fn no_write_is_lost_if_the_pool_counts_a_transaction_as_open(fixture: Fixture) {
        let write = &fixture.db.write;
        let tx = write.begin().await.unwrap();
        // Simulates a rollback by SQLite itself.
        tx.execute_unprepared("ROLLBACK").await.unwrap();
        let _ = tx.rollback().await;
        let tx = fixture.begin().await;
        insert(&tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        insert(write, 2).await.unwrap();
        assert_eq!(fixture.stored().await, [1, 2]);
    }
}
