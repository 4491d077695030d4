//! Migrating up and down on a PostgreSQL database whose `topaz_user` table an older app created.

use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::{
    database::schema_upgrade::migrate,
    support::test_app::{Db, TestApp, TestDatabase},
};

/// The columns that the migrations add to the older app's table.
const OURS: &str =
    "ARRAY['subject', 'library_version', 'library_epoch', 'library_floor', 'library_counted',
    'library_stories', 'library_tags', 'library_fandoms', 'library_bytes', 'library_erased',
    'signed_out_at', 'streams_ended_at']";

/// The user table of an older app.
struct OlderApp {
    name: &'static str,
    /// Creates its table with users.
    table: &'static str,
    /// The ids of those users, which are the `sub` of their tokens.
    users: [&'static str; 2],
    /// Creates a user later, like the older app.
    later: (&'static str, &'static str),
    /// A `sub` without a user, which the server cannot create because of the table's other columns.
    stranger: &'static str,
}

const OLDER_APPS: [OlderApp; 3] = [
    OlderApp {
        name: "ids of text that it makes itself",
        table: "
            CREATE TABLE topaz_user (
              id varchar(255) PRIMARY KEY,
              email varchar(255) NOT NULL UNIQUE,
              name text,
              \"createdAt\" timestamptz NOT NULL DEFAULT now(),
              \"updatedAt\" timestamptz NOT NULL DEFAULT now()
            );
            CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
              $$ BEGIN NEW.\"updatedAt\" := clock_timestamp(); RETURN NEW; END $$;
            CREATE TRIGGER touch BEFORE UPDATE ON topaz_user FOR EACH ROW EXECUTE FUNCTION touch();
            INSERT INTO topaz_user (id, email, name)
              VALUES ('clx1|Ann', 'ann@example.org', 'Ann'), ('clx2', 'bob@example.org', NULL);",
        users: ["clx1|Ann", "clx2"],
        later: (
            "clx3",
            "INSERT INTO topaz_user (id, email) VALUES ('clx3', 'eve@example.org')",
        ),
        stranger: "clx4",
    },
    OlderApp {
        name: "UUIDs",
        table: "
            CREATE TABLE topaz_user (id uuid PRIMARY KEY, email text NOT NULL, password_hash bytea NOT NULL);
            INSERT INTO topaz_user VALUES
              ('018f3c5e-0000-7000-8000-000000000001', 'ann@example.org', '\\x00ff'),
              ('018f3c5e-0000-7000-8000-000000000002', 'bob@example.org', '\\x');",
        users: [
            "018f3c5e-0000-7000-8000-000000000001",
            "018f3c5e-0000-7000-8000-000000000002",
        ],
        later: (
            "018f3c5e-0000-7000-8000-000000000003",
            "INSERT INTO topaz_user VALUES ('018f3c5e-0000-7000-8000-000000000003', 'eve@example.org', '')",
        ),
        stranger: "018f3c5e-0000-7000-8000-000000000004",
    },
    OlderApp {
        name: "numbers of a sequence",
        table: "
            CREATE TABLE topaz_user (id serial PRIMARY KEY, joined date NOT NULL DEFAULT current_date);
            INSERT INTO topaz_user (joined) VALUES ('2019-01-31'), ('2020-02-29');",
        users: ["1", "2"],
        later: (
            "3",
            "INSERT INTO topaz_user (joined) VALUES ('2021-03-01')",
        ),
        // The next in the sequence: if the server created it, the older app's next insert would fail.
        stranger: "3",
    },
];

impl OlderApp {
    /// A database of this app.
    async fn database(&self) -> TestDatabase {
        let database = TestDatabase::new(Db::Postgres).await;
        execute(&database, self.table).await;
        database
    }
}

async fn execute(database: &TestDatabase, sql: &str) {
    let db = database.connect().await;
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    db.close().await.unwrap();
}

/// All users, with the older app's columns.
async fn rows(database: &TestDatabase) -> String {
    let sql = format!("SELECT jsonb_agg(to_jsonb(u) - {OURS} ORDER BY id)::text FROM topaz_user u");
    database.scalar(&sql).await
}

/// All columns of the table, with types and constraints.
async fn columns(database: &TestDatabase) -> String {
    let sql = "SELECT json_agg(json_build_array(column_name, data_type, is_nullable, column_default)
        ORDER BY ordinal_position)::text FROM information_schema.columns WHERE table_name = 'topaz_user'";
    database.scalar(sql).await
}

/// Type, nullability and default of `library_version`.
async fn version_column(database: &TestDatabase) -> String {
    let sql = "SELECT concat_ws(' ', data_type, is_nullable, column_default) FROM information_schema.columns
        WHERE table_name = 'topaz_user' AND column_name = 'library_version'";
    database.scalar(sql).await
}

#[tokio::test]
async fn every_row_of_the_older_app_is_kept_and_gets_a_version() {
    for older in OLDER_APPS {
        let database = older.database().await;
        let before = rows(&database).await;
        migrate(&database, &["up"]);
        assert_eq!(rows(&database).await, before, "{}", older.name);
        assert_eq!(version_column(&database).await, "integer NO 1");
        let known =
            "SELECT count(*) FROM topaz_user WHERE library_version = 1 AND subject = id::text";
        assert_eq!(database.scalar::<i64>(known).await, 2, "{}", older.name);
    }
}

/// The table is locked while it is rewritten, and while its index is made. The older app uses it in between.
#[tokio::test]
async fn the_older_apps_table_is_rewritten_once_and_its_index_is_made_in_another_transaction() {
    for older in OLDER_APPS {
        let database = older.database().await;
        let count = "
            CREATE TABLE rewrite (id serial);
            CREATE FUNCTION count_rewrite() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
              IF pg_event_trigger_table_rewrite_oid() = 'topaz_user'::regclass THEN
                INSERT INTO rewrite DEFAULT VALUES;
              END IF;
            END $$;
            CREATE EVENT TRIGGER count_rewrite ON table_rewrite EXECUTE FUNCTION count_rewrite();";
        execute(&database, count).await;
        migrate(&database, &["up"]);
        let rewrites = database.scalar::<i64>("SELECT count(*) FROM rewrite").await;
        assert_eq!(rewrites, 1, "{}", older.name);
        let together = "SELECT count(*) FROM rewrite r JOIN pg_constraint c ON c.xmin = r.xmin
            WHERE c.conname = 'topaz_user_subject_key'";
        let together = database.scalar::<i64>(together).await;
        assert_eq!(together, 0, "{}", older.name);
    }
}

#[tokio::test]
async fn a_user_of_the_older_app_can_use_the_server_by_the_rows_id() {
    for older in OLDER_APPS {
        let app = TestApp::start_on(older.database().await, &[]).await;
        let [ann, bob] = older.users.map(|id| app.user(id));
        let mut watch = ann.watch().await;
        assert_eq!(ann.add("A").await["libraryVersion"], 2, "{}", older.name);
        assert_eq!(watch.until(2).await, [1, 2]);
        assert_eq!((ann.version().await, bob.version().await), (2, 1));
    }
}

#[tokio::test]
async fn a_user_that_the_older_app_makes_later_can_use_the_server_too() {
    for older in OLDER_APPS {
        let app = TestApp::start_on(older.database().await, &[]).await;
        let (id, insert) = older.later;
        execute(&app.db, insert).await;
        let eve = app.user(id);
        assert_eq!(eve.add("A").await["libraryVersion"], 2, "{}", older.name);
        assert_eq!(eve.version().await, 2);
    }
}

#[tokio::test]
async fn a_user_that_only_the_older_app_can_make_is_refused_and_nothing_changes() {
    for older in OLDER_APPS {
        let app = TestApp::start_on(older.database().await, &[]).await;
        let before = rows(&app.db).await;
        let stranger = app.user(older.stranger);
        let change = "mutation { createTag(input: {name: \"x\"}) { libraryVersion } }";
        for operation in ["{ libraryVersion }", change] {
            let code = stranger.refused(operation, json!({})).await;
            assert_eq!(code, "FORBIDDEN", "{}: {operation}", older.name);
        }
        for path in ["/api/trpc/view.getVersion", "/api/library-version-events"] {
            let request = app.http.get(app.url(path)).bearer_auth(&stranger.token);
            assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
        }
        assert_eq!(rows(&app.db).await, before, "{}", older.name);
        // The older app can still create users.
        execute(&app.db, older.later.1).await;
        let newest = "SELECT id::text FROM topaz_user ORDER BY id DESC LIMIT 1";
        let id: String = app.db.scalar(newest).await;
        assert_eq!(app.user(&id).version().await, 1);
    }
}

#[tokio::test]
async fn a_user_that_fits_the_older_apps_table_is_created_with_its_id() {
    for id in ["id text", "id uuid", "id uuid DEFAULT gen_random_uuid()"] {
        let database = TestDatabase::new(Db::Postgres).await;
        let table = format!("CREATE TABLE topaz_user ({id} PRIMARY KEY, joined date)");
        execute(&database, &table).await;
        let app = TestApp::start_on(database, &[]).await;
        let sub = "018f3c5e-0000-7000-8000-000000000001";
        assert_eq!(app.user(sub).add("A").await["libraryVersion"], 2, "{id}");
        // The older app finds the row instead of creating a second one.
        let insert =
            format!("INSERT INTO topaz_user (id) VALUES ('{sub}') ON CONFLICT (id) DO NOTHING");
        execute(&app.db, &insert).await;
        assert_eq!(
            app.db
                .scalar::<i64>("SELECT count(*) FROM topaz_user")
                .await,
            1
        );
        // This `sub` is not a UUID, so it gets another id.
        assert_eq!(
            app.user("auth0|7").add("A").await["libraryVersion"],
            2,
            "{id}"
        );
    }
}

#[tokio::test]
async fn migrating_down_leaves_the_older_apps_table_as_it_was() {
    for older in OLDER_APPS {
        let database = older.database().await;
        let before = (columns(&database).await, rows(&database).await);
        migrate(&database, &["up"]);
        migrate(&database, &["down", "--steps", "1000"]);
        let after = (columns(&database).await, rows(&database).await);
        assert_eq!(after, before, "{}", older.name);
        execute(&database, older.later.1).await;
    }
}

#[tokio::test]
async fn versions_that_the_older_app_counted_are_kept() {
    for column in [
        "integer",
        "integer DEFAULT 0",
        "bigint NOT NULL DEFAULT 1",
        "integer NOT NULL DEFAULT 1",
    ] {
        let database = TestDatabase::new(Db::Postgres).await;
        let unknown = if column.contains("NOT NULL") {
            "1"
        } else {
            "NULL"
        };
        let sql = format!(
            "CREATE TABLE topaz_user (id text PRIMARY KEY, library_version {column});
             INSERT INTO topaz_user VALUES ('ann', 41), ('bob', {unknown});"
        );
        execute(&database, &sql).await;
        let app = TestApp::start_on(database, &[]).await;
        assert_eq!(version_column(&app.db).await, "integer NO 1", "{column}");
        assert_eq!(app.user("ann").version().await, 41, "{column}");
        assert_eq!(app.user("bob").version().await, 1, "{column}");
        assert_eq!(app.user("ann").add("A").await["libraryVersion"], 42);

        migrate(&app.db, &["down", "--steps", "1000"]);
        let kept = "SELECT library_version::text FROM topaz_user WHERE id = 'ann'";
        assert_eq!(app.db.scalar::<String>(kept).await, "42", "{column}");
    }
}
