//! Erasure of an account: all of it, only by its user, and every device learns of it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use library_sync::{library::Retention, version::UserId};
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    push::fake_push_service::{FakePushService, REGISTER, input},
    support::{
        servers::{Server, redis_cli},
        test_app::{
            Db, TestApp, TestDatabase, TestProcess, TestUser, on_each_database, program, soon,
        },
    },
};

/// Begins every marked text, in lower case, so that keys for searches hold it too.
const MARK: &str = "zqmark";

const ERASE: &str = "mutation ($input: EraseAccountInput!) { eraseAccount(input: $input) {
    libraryVersion libraryHead erasedRowCount refusal { code field } } }";

pub async fn confirmation(user: &TestUser<'_>) -> Value {
    let query = "mutation { requestAccountErasure(input: {}) { libraryVersion confirmationToken expiresIn refusal { code } } }";
    let mut requested = user.ask(query, json!({})).await["requestAccountErasure"].take();
    assert_eq!(requested["expiresIn"], 300);
    requested["confirmationToken"].take()
}

pub async fn erase(user: &TestUser<'_>, token: &Value) -> Value {
    let input = json!({"input": {"confirmationToken": token}});
    user.ask(ERASE, input).await["eraseAccount"].take()
}

/// The tables that hold rows of users.
async fn tables(database: &TestDatabase, db: Db) -> Vec<String> {
    let sql = match db {
        Db::Sqlite => {
            "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'user_id'"
        }
        Db::Postgres => {
            "SELECT table_name::text FROM information_schema.columns WHERE column_name = 'user_id' AND table_schema = 'public'"
        }
    };
    let connection = database.connect().await;
    let select = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(select).await.unwrap();
    connection.close().await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

/// The files of the database.
async fn files(database: &TestDatabase, db: Db) -> Vec<u8> {
    if db == Db::Sqlite {
        let path = database.path();
        let files = ["", "-wal", "-shm", "-journal"]
            .map(|end| fs::read(format!("{path}{end}")).unwrap_or_default());
        return files.concat();
    }
    database.execute("CHECKPOINT").await;
    let connection = database.connect().await;
    let sql = "SELECT pg_read_binary_file(pg_relation_filepath(oid)) FROM pg_class \
               WHERE relkind IN ('r', 'i', 't') AND pg_relation_filepath(oid) IS NOT NULL";
    let select = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(select).await.unwrap();
    connection.close().await.unwrap();
    rows.iter()
        .flat_map(|row| {
            row.try_get_by_index::<Option<Vec<u8>>>(0)
                .unwrap()
                .unwrap_or_default()
        })
        .collect()
}

/// The commands that Redis receives, or the messages that NATS sends to a client that subscribes to everything, from now
/// on.
async fn everything_carried(db: Db, port: u16) -> Arc<Mutex<Vec<u8>>> {
    let subscribe = match db {
        Db::Sqlite => "MONITOR\r\n",
        Db::Postgres => "CONNECT {}\r\nSUB > 1\r\nPING\r\n",
    };
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(subscribe.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    soon("the subscription", async {
        let is_subscribed = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.contains("+OK") || text.contains("PONG")
        };
        while !is_subscribed(&bytes) {
            assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0);
        }
    })
    .await;
    let carried = Arc::<Mutex<Vec<u8>>>::default();
    let received = carried.clone();
    // The test's runtime drops it.
    tokio::spawn(async move {
        bytes.clear();
        while let Ok(1..) = socket.read_buf(&mut bytes).await {
            received.lock().append(&mut bytes);
        }
    });
    carried
}

/// The files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The numbers of the marked texts in `bytes`.
fn marks(bytes: &[u8]) -> std::collections::BTreeSet<u32> {
    let text = String::from_utf8_lossy(bytes);
    let after = text.split(MARK).skip(1);
    after
        .map(|rest| {
            rest.get(..2)
                .and_then(|number| number.parse().ok())
                .unwrap_or(99)
        })
        .collect()
}

/// Makes 50 texts that begin with `mark`, in every column that holds a text of a user.
async fn write_texts(server: &TestProcess, push: &FakePushService, sub: &str, mark: &str) {
    let mut number = 0;
    let mut text = move || {
        number += 1;
        format!("{mark}{number:02}")
    };
    let ask = async |query: &str, input: Value| {
        let mut answer = soon(
            "an answer",
            server.send(sub, query, json!({"input": input})),
        )
        .await
        .unwrap();
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    };
    let label = |verb: &str, kind: &str| {
        let input = if verb == "create" { "Create" } else { "Rename" };
        let id = kind.to_lowercase();
        format!(
            "mutation ($input: {input}LabelInput!) {{ made: {verb}{kind}(input: $input) {{ {id} {{ id }} }} }}"
        )
    };
    let tag =
        ask(&label("create", "Tag"), json!({"name": text()})).await["made"]["tag"]["id"].take();
    let fandom =
        ask(&label("create", "Fandom"), json!({"name": text()})).await["made"]["fandom"]["id"]
            .take();
    ask(&label("create", "Tag"), json!({"name": text()})).await;
    ask(&label("rename", "Tag"), json!({"id": tag, "name": text()})).await;
    let create = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { progress { id story { id } } } }";
    let mut made = Vec::new();
    for _ in 0..6 {
        let input = json!({
            "title": text(), "author": text(), "url": format!("HTTPS://example.org/{}", text()), "description": text(),
            "summary": text(), "notes": text(), "tagIds": [tag], "fandomIds": [fandom],
        });
        made.push(ask(create, input).await["createStoryWithProgress"]["progress"].take());
    }
    let device = json!({"id": text(), "name": text()});
    let change = "mutation ($input: UpdateStoryWithRelationsInput!) { updateStoryWithRelations(input: $input) { refusal { code } } }";
    ask(change, json!({"id": made[0]["story"]["id"], "title": text(), "description": text(), "device": device, "idempotencyKey": text()})).await;
    let change = "mutation ($input: UpdateProgressInput!) { updateProgress(input: $input) { refusal { code } } }";
    for _ in 0..2 {
        ask(change, json!({"id": made[0]["id"], "notes": text()})).await;
    }
    let delete = "mutation ($input: DeleteProgressInput!) { deleteProgress(input: $input) { deletedProgressId } }";
    ask(delete, json!({"id": made[1]["id"]})).await;
    let again = json!({"title": text(), "url": "https://example.org/again", "storyId": made[1]["story"]["id"], "progressId": made[1]["id"]});
    ask(create, again).await;
    ask(
        "mutation ($input: DeleteLabelInput!) { deleteTag(input: $input) { deletedTagId } }",
        json!({"id": tag}),
    )
    .await;
    let subscription = push.subscribe(&text());
    ask(REGISTER, input(&subscription, &text(), "DAILY")).await;
    ask("mutation ($input: CreateStreamTicketInput!) { createStreamTicket(input: $input) { ticket } }", json!({})).await;
    assert_eq!(text(), format!("{mark}51"), "there are 50 texts");
}

/// Purges everything that may be purged.
async fn purge(app: &TestApp) {
    // What was written in this very millisecond would be kept.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let all = Retention {
        history: Duration::ZERO,
        receipts: Duration::ZERO,
    };
    app.library.purge(all).await.unwrap();
}

on_each_database! {
    async fn no_marked_text_is_left_after_an_erasure(db: Db) {
        let folder = TempDir::new().unwrap();
        let store = folder.path().to_str().unwrap();
        // A broker that could keep messages, and everything that it carries.
        let (broker, address) = match db {
            Db::Sqlite => {
                let redis = Server::redis(&[]).await;
                let address = format!("redis://127.0.0.1:{}", redis.port);
                (redis, address)
            }
            Db::Postgres => {
                let nats = Server::nats(&["-js", "-sd", store]).await;
                let address = format!("nats://127.0.0.1:{}", nats.port);
                (nats, address)
            }
        };
        let carried = everything_carried(db, broker.port).await;
        let push = FakePushService::start().await;
        let log = folder.path().join("log");
        let database = TestDatabase::new(db).await;
        let flags = push.flags(&["--broker-url", &address, "--log", "trace,h2=off,hyper=off,reqwest=off"]);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let server = TestProcess::serve_logging(&database.url, &flags, fs::File::create(&log).unwrap().into()).await;
        write_texts(&server, &push, "ann", MARK).await;
        // Another user has the same kinds of rows, so pages and statistics are shared.
        write_texts(&server, &push, "bob", "other").await;
        if db == Db::Postgres {
            // Statistics hold frequent values of columns.
            database.execute("ANALYZE").await;
        }
        let before = marks(&files(&database, db).await);
        assert!((1..=50).all(|number| before.contains(&number)), "the search finds every text: {before:?}");
        let mut emptied = 0;
        for table in tables(&database, db).await {
            let rows = format!("SELECT count(*) FROM {table} WHERE user_id = 'ann'");
            emptied += u32::from(database.scalar::<i64>(&rows).await > 0);
        }
        assert!(emptied >= 12, "{emptied} tables have rows of the user");

        let (is_done, told) = run(&database, &[]);
        assert!(!is_done && told.contains("--confirm"), "{told}");
        let mut stream = server.watch("ann").await;
        assert_eq!(soon("connected", stream.next()).await.unwrap()["type"], "connected");
        let request = "mutation { requestAccountErasure(input: {}) { confirmationToken } }";
        let mut token = server.send("ann", request, json!({})).await.unwrap();
        let token = token["data"]["requestAccountErasure"]["confirmationToken"].take();
        let erased = server.send("ann", ERASE, json!({"input": {"confirmationToken": token}})).await.unwrap();
        assert!(erased["data"]["eraseAccount"]["erasedRowCount"].as_i64() > Some(40), "{erased}");
        assert_eq!(soon("the last event", stream.next()).await.unwrap()["type"], "library_version_update");
        assert!(soon("the end", stream.next()).await.is_none(), "streams end");
        for table in tables(&database, db).await {
            let rows = format!("SELECT count(*) FROM {table} WHERE user_id = 'ann'");
            assert_eq!(database.scalar::<i64>(&rows).await, 0, "{table}");
        }
        assert_eq!(database.scalar::<i64>("SELECT count(*) FROM topaz_story WHERE user_id = 'bob'").await, 6);
        if db == Db::Postgres {
            for sql in ["ANALYZE", "VACUUM FULL"] {
                database.execute(sql).await;
            }
        }
        assert_eq!(marks(&files(&database, db).await), [].into(), "in the database");
        let log = fs::read(&log).unwrap();
        assert!(log.len() > 1_000, "the server logs");
        assert_eq!(marks(&log), [].into(), "in the log");
        if db == Db::Sqlite {
            assert_eq!(redis_cli(broker.port, &["DBSIZE"]).trim(), "0", "the broker stores nothing");
        }
        for entry in walk(folder.path()) {
            assert_eq!(marks(&fs::read(&entry).unwrap()), [].into(), "{}", entry.display());
        }
        let carried = carried.lock().clone();
        assert!(String::from_utf8_lossy(&carried).contains("ann"), "the broker carries notices");
        assert_eq!(marks(&carried), [].into(), "in messages of the broker");
    }

    async fn an_erasure_needs_the_confirmation_of_its_user_once(db: Db) {
        let app = TestApp::start(db).await;
        let (ann, bob) = (app.user("ann"), app.user("bob"));
        ann.add("A").await;
        bob.add("B").await;
        let (token, other) = (confirmation(&ann).await, confirmation(&bob).await);
        let not_found = json!({"code": "NOT_FOUND", "field": "confirmationToken"});
        let stream = ann.ask("mutation { createStreamTicket(input: {}) { ticket } }", json!({})).await;
        for wrong in [&other, &json!("er_"), &json!(""), &stream["createStreamTicket"]["ticket"]] {
            let refused = erase(&ann, wrong).await;
            assert_eq!((&refused["refusal"], &refused["erasedRowCount"]), (&not_found, &Value::Null));
        }
        app.db.execute("UPDATE topaz_ticket SET lapses_at = 0 WHERE user_id = 'bob'").await;
        assert_eq!(erase(&bob, &other).await["refusal"], not_found, "it has expired");
        assert_eq!((ann.version().await, bob.version().await), (2, 2));
        let before = ann.head().await;
        let erased = erase(&ann, &token).await;
        assert_eq!((&erased["refusal"], &erased["libraryVersion"]), (&Value::Null, &json!(3)));
        assert_eq!(erased["libraryHead"], ann.head().await);
        assert_ne!(before.split('.').next(), ann.head().await.split('.').next());
        assert_eq!(erase(&ann, &token).await["refusal"], not_found);
        let query = "{ progresses { totalCount } history { nodes { version } } library { floor stats { storyCount } } }";
        let empty = ann.ask(query, json!({})).await;
        assert_eq!(empty, json!({"progresses": {"totalCount": 0}, "history": {"nodes": []}, "library": {"floor": 3, "stats": {"storyCount": 0}}}));
        // The same person begins again, and the sizes are exact.
        assert_eq!(ann.add("A again").await["libraryVersion"], 4);
        assert_eq!(bob.ask("{ progresses { totalCount } }", json!({})).await["progresses"]["totalCount"], 1);
    }

    async fn an_offline_device_is_told_to_empty_itself_until_the_history_goes(db: Db) {
        let app = TestApp::start(db).await;
        let ann = app.user("ann");
        ann.add("A").await;
        let before = ann.head().await;
        let (epoch, version) = before.split_once('.').unwrap();
        let version: i64 = version.parse().unwrap();
        let erased = erase(&ann, &confirmation(&ann).await).await;
        let resume = async |head: &str| {
            let request = app.http.get(app.url("/api/library-version-events")).bearer_auth(&ann.token).header("last-event-id", head);
            let mut response = soon("a stream", request.send()).await.unwrap();
            let first = soon("an event", response.chunk()).await.unwrap().unwrap();
            String::from_utf8(first.to_vec()).unwrap()
        };
        let changes = "query ($epoch: ID, $since: Int!) { libraryChanges(since: $since, epoch: $epoch) { reset erased changes { __typename } } }";
        let told = json!({"libraryChanges": {"reset": true, "erased": true, "changes": []}});
        assert!(resume(&before).await.contains(r#""resume":"erased""#));
        assert_eq!(ann.ask(changes, json!({"epoch": epoch, "since": version})).await, told);
        // What waits in its outbox does not come back, whether or not it names a row.
        let head = ann.head().await;
        let title = json!({"title": "B", "url": "https://example.org/b"});
        for (applied, code) in [(before.as_str(), json!("ACCOUNT_ERASED")), (head.as_str(), Value::Null)] {
            let query = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion } }";
            let request = app.http.post(app.url("/graphql")).bearer_auth(&ann.token)
                .header("x-device-id", "phone").header("x-library-applied", applied)
                .json(&json!({"query": query, "variables": {"input": title}}));
            let answer: Value = soon("an answer", request.send()).await.unwrap().json().await.unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{answer}");
            assert_eq!(ann.version().await, 3 + i64::from(code.is_null()));
        }
        assert_eq!(ann.ask(changes, json!({"epoch": epoch, "since": version})).await, told, "also after the user came back");
        // A user who came back stays; one who did not is forgotten with the history.
        purge(&app).await;
        let known = "SELECT count(*) FROM topaz_user WHERE subject = 'ann'";
        assert_eq!(app.db.scalar::<i64>(known).await, 1);
        erase(&ann, &confirmation(&ann).await).await;
        purge(&app).await;
        assert_eq!(app.db.scalar::<i64>(known).await, 0);
        let again: i64 = ann.head().await.split('.').next().unwrap().parse().unwrap();
        let last: i64 = erased["libraryHead"].as_str().unwrap().split('.').next().unwrap().parse().unwrap();
        assert!(again > last, "an epoch never returns");
    }

    async fn a_command_erases_beside_a_server(db: Db) {
        let app = TestApp::start_with(db, &["--heartbeat", "300ms"]).await;
        app.user("ann").add("A").await;
        let mut stream = app.user("ann").watch().await;
        stream.until(2).await;
        let (is_done, told) = run(&app.db, &["--confirm", "bob"]);
        assert!(!is_done && told.contains("nothing was erased"), "{told}");
        let (is_done, told) = run(&app.db, &["--confirm", "ann"]);
        assert!(is_done && told.contains("rows erased"), "{told}");
        while soon("the end of the stream", stream.next()).await.is_some() {}
        let ann = UserId::new("ann").unwrap();
        let exported = app.library.export(&ann).await.unwrap().unwrap();
        assert_eq!(exported.entries, []);
    }
}

/// Runs `library-sync erase --sub ann`: whether it succeeded, and what it printed.
fn run(database: &TestDatabase, more: &[&str]) -> (bool, String) {
    let output = program()
        .args(["erase", "--sub", "ann", "--database-url", &database.url])
        .args(more)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
    )
}
