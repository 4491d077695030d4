//! The settings that the server sets on its PostgreSQL connections, so that the database's defaults cannot weaken durability or isolation.

use futures_util::future::join_all;

use crate::support::{
    servers::Server,
    test_app::{Db, TestApp, TestDatabase},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_change_is_on_disk_despite_synchronous_commit_off() {
    let settings = ["synchronous_commit=off", "wal_writer_delay=10s"];
    let mut postgres = Server::postgres_with(&settings).await;
    let app = TestApp::start_on(TestDatabase::at(postgres.url()), &[]).await;
    let ann = app.user("ann");
    for n in 0..3 {
        ann.add(&format!("story {n}")).await;
        postgres.kill();
        postgres.start().await;
        let stored: i64 = TestDatabase::at(postgres.url())
            .scalar("SELECT count(*) FROM topaz_story")
            .await;
        assert_eq!(stored, n + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_do_not_depend_on_the_default_isolation_level() {
    let database = TestDatabase::new(Db::Postgres).await;
    let name = database.url.rsplit('/').next().unwrap();
    let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    database.execute(&set).await;
    let nodes = [
        TestApp::start_on(database.shared(), &[]).await,
        TestApp::start_on(database, &[]).await,
    ];
    let names: Vec<_> = (0..8).map(|n| format!("user {n}")).collect();
    join_all(names.iter().map(async |name| {
        for n in 0..8 {
            let user = nodes[n % 2].user(name);
            user.add(&format!("story {n}")).await;
        }
    }))
    .await;
    for name in &names {
        assert_eq!(nodes[0].user(name).version().await, 9);
    }
}

#[tokio::test]
async fn a_database_with_another_encoding_than_utf8_is_refused() {
    let server = TestDatabase::new(Db::Postgres).await;
    let mut url: url::Url = server.url.parse().unwrap();
    let name = format!("{}_latin", url.path().trim_start_matches('/'));
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    server.execute(&create).await;
    url.set_path(&name);
    let error = TestApp::start_error(url.as_str(), &[]).await;
    assert!(
        error.contains("encoding LATIN1") && error.contains("ENCODING 'UTF8'"),
        "{error}"
    );
}
