//! A connection pooler between the server and PostgreSQL: what works, and what is refused with what to do.

use std::process::Command;

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    commands::command_line::run,
    support::programs::Finish as _,
    support::servers::{Server, pgbouncer},
    support::test_app::{Db, SECRET, TestApp, TestDatabase},
};

/// The major and minor version of PgBouncer.
fn version() -> (u32, u32) {
    let output = Command::new(pgbouncer()).arg("--version").finish();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text
        .split([' ', '.', '\n'])
        .filter_map(|part| part.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The same database through a pooler.
async fn pooled(database: &TestDatabase, settings: &[&str]) -> (Server, TestDatabase) {
    let mut url: url::Url = database.url.parse().unwrap();
    let pooler = Server::pgbouncer(url.port().unwrap(), settings).await;
    url.set_port(Some(pooler.port)).unwrap();
    (pooler, TestDatabase::at(url.into()))
}

/// Changes and reads the libraries of several users at once.
async fn use_libraries(app: &TestApp) {
    let users = ["ann", "bob", "cleo", "dan", "eve", "fay"].map(|name| app.user(name));
    join_all(users.iter().map(async |user| {
        for (count, version) in (1_usize..5).zip(2_i64..) {
            let made = user.add(&format!("story {version}")).await;
            assert_eq!(made["libraryVersion"], version, "{made}");
            assert_eq!(user.version().await, version);
            let read = user.ask(
                "{ progresses { edges { node { id } } } tags { id } }",
                json!({}),
            );
            let read = read.await;
            assert_eq!(read["progresses"]["edges"].as_array().unwrap().len(), count);
        }
    }))
    .await;
    let ready = app.http.get(app.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_works() {
    let database = TestDatabase::new(Db::Postgres).await;
    let (_pooler, pooled) = pooled(&database, &["pool_mode = session"]).await;
    let app = TestApp::start_on(pooled, &["--broker-url", "postgres:"]).await;
    use_libraries(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_transaction_mode_works_if_it_keeps_prepared_statements() {
    let database = TestDatabase::new(Db::Postgres).await;
    let keeps_statements = version() >= (1, 21);
    let settings: &[&str] = if keeps_statements {
        &[
            "pool_mode = transaction",
            "default_pool_size = 2",
            "max_prepared_statements = 50",
        ]
    } else {
        &["pool_mode = transaction", "default_pool_size = 2"]
    };
    let (_pooler, pooled) = pooled(&database, settings).await;
    let serve = [
        "serve",
        "--jwt-secret",
        SECRET,
        "--database-url",
        &pooled.url,
    ];
    let (code, _, error) = run(&serve);
    assert_eq!(code, Some(1), "{error}");
    if !keeps_statements {
        for named in [
            "max_prepared_statements",
            "pool_mode = session",
            "PostgreSQL itself",
        ] {
            assert!(error.contains(named), "{error}");
        }
        return;
    }
    // A migration needs a session.
    assert!(
        error.contains("library-sync migrate") && error.contains("PostgreSQL itself"),
        "{error}"
    );
    let (code, _, error) = run(&["migrate", "up", "--database-url", &database.url]);
    assert_eq!(code, Some(0), "{error}");
    let app = TestApp::start_on(pooled, &["--broker-url", &database.url]).await;
    use_libraries(&app).await;
}
