//! Tests that a page sees one state of the library, whenever the library changes.

#![expect(
    clippy::disallowed_methods,
    reason = "the change is made by other means, between two statements"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use migration::Migrator;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement,
};
use sea_orm_migration::MigratorTrait as _;
use tempfile::TempDir;

use super::{
    change::{Delta, Since},
    changes::{Consistency, page},
    page::{PageLimit, PageRequest, Related},
};
use crate::{
    library::database::{options::DatabaseOptions, pools::Database},
    version::{UserId, Version},
};

/// A story, its progress, its tag and a removed fandom, each with stamp 2.
const FILL: &str = "
    INSERT INTO topaz_user (id, subject, library_version) VALUES ('1', 'ann', 2);
    INSERT INTO topaz_story (user_id, id, stamp, title, author, url, source, status, is_nsfw, title_key, author_key,
        search_key, created_at, updated_at)
        VALUES ('ann', x'0000000000000000000000000000000a', 2, 'before', 'a', 'https://example.org/', 'Other', 'Ongoing',
        false, 'before', 'a', 'before', 0, 0);
    INSERT INTO topaz_progress (user_id, id, stamp, story_id, status, search_key, created_at, updated_at)
        SELECT user_id, id, stamp, id, 'NotStarted', '', 0, 0 FROM topaz_story;
    INSERT INTO topaz_tag (user_id, id, stamp, name, name_key, created_at, updated_at)
        SELECT user_id, id, stamp, 'before', 'before', 0, 0 FROM topaz_story;
    INSERT INTO topaz_story_tag (user_id, story_id, tag_id) SELECT user_id, id, id FROM topaz_story;
    INSERT INTO topaz_tombstone (user_id, kind, id, stamp, removed_at)
        SELECT user_id, 'Fandom', id, stamp, 0 FROM topaz_story";

/// A change of all of them.
const CHANGE: &str = "
    UPDATE topaz_user SET library_version = 3;
    UPDATE topaz_story SET stamp = 3, title = 'after';
    UPDATE topaz_progress SET stamp = 3;
    UPDATE topaz_tag SET stamp = 3, name = 'after';
    UPDATE topaz_tombstone SET stamp = 3";

/// A purge of the tombstone.
const PURGE: &str = "UPDATE topaz_user SET library_floor = 2; DELETE FROM topaz_tombstone";

/// A connection with a change before one of its statements.
struct Interrupted<'a> {
    db: &'a DatabaseConnection,
    change: &'static str,
    /// Statements before the change.
    left: AtomicUsize,
}

#[async_trait::async_trait]
impl ConnectionTrait for Interrupted<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.db.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.db.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.db.execute_unprepared(self.change).await?;
        }
        self.db.query_all_raw(statement).await
    }
}

/// Reads the first page of a copy at version 1, with a change before the statement `at`. Returns the page, if any, and
/// whether there were so many statements.
async fn first_page(change: &'static str, at: usize, with: Related) -> (Option<Delta>, bool) {
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    let path = folder.path().join("library.db");
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let db = Database::connect(&DatabaseOptions::for_test(&url)).await;
    let db = db.unwrap();
    Migrator::up(&db.write, None).await.unwrap();
    db.write.execute_unprepared(FILL).await.unwrap();
    let interrupted = Interrupted {
        db: &db.write,
        change,
        left: at.into(),
    };
    let request = PageRequest {
        since: Since {
            version: Version::new(1),
            epoch: None,
        },
        after: None,
        limit: PageLimit {
            changes: 10,
            bytes: 1_000,
        },
        with,
    };
    let ann = UserId::new("ann").unwrap();
    let page = page(&interrupted, (&ann).into(), request, Consistency::Unchanged).await;
    let left = interrupted.left.into_inner();
    (page.unwrap(), left > at)
}

#[tokio::test]
async fn a_page_is_of_the_library_before_or_after_a_change_and_not_between() {
    for change in [CHANGE, PURGE] {
        // The last statement of labels is followed by another look at the user's row.
        for (stories, labels, all) in [
            (false, false, 3),
            (true, false, 4),
            (false, true, 6),
            (true, true, 7),
        ] {
            let with = Related { stories, labels };
            let of = async |at| {
                let (page, is_interrupted) = first_page(change, at, with).await;
                (format!("{page:?}"), is_interrupted)
            };
            let (before, _) = of(usize::MAX - 100).await;
            let (after, _) = of(0).await;
            assert!(before.contains("Removed") && before != after, "{before}");
            let mut statements = 1;
            loop {
                let (page, is_interrupted) = of(statements).await;
                if !is_interrupted {
                    break;
                }
                assert!(page == before || page == "None", "{statements}: {page}");
                statements += 1;
            }
            assert_eq!(statements, all);
        }
    }
}
