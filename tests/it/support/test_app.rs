//! A real server for a test: on a free port, with its own database, SQLite or PostgreSQL.
//!
//! [`TestApp`] is the server of `library-sync serve`, built from the same flags, in this process. [`TestProcess`] runs
//! the program itself, for signals, crashes and counters.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::Parser as _;
use library_sync::{
    app::App,
    auth::{self, Rules},
    config::{self, Cli},
    library::Library,
    version::UserId,
};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use crate::support::deadline::{DEADLINE, soon};
use crate::support::servers::free_port;

/// The secret that signs the tokens of tests.
pub const SECRET: &str = "a secret of at least thirty-two bytes, for tests alone";

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Db {
    Sqlite,
    Postgres,
}

/// Generates two tests of each rule: `<rule>::on_sqlite` and `<rule>::on_postgres`.
macro_rules! on_each_database {
    ($($(#[$attribute:meta])* async fn $rule:ident($db:ident: Db) $body:block)*) => {$(
        $(#[$attribute])*
        mod $rule {
            #[expect(clippy::allow_attributes, reason = "not every rule needs every name")]
            #[allow(unused_imports)]
            use super::*;

            async fn rule($db: crate::support::test_app::Db) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                rule(crate::support::test_app::Db::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                rule(crate::support::test_app::Db::Postgres).await;
            }
        }
    )*};
}
pub(crate) use on_each_database;

/// A client whose requests and streams fail when nothing arrives for a long time.
pub fn http_client() -> reqwest::Client {
    let client = reqwest::Client::builder().read_timeout(Duration::from_mins(3));
    client.build().unwrap()
}

/// The stable code in the body of an error response, in GraphQL's or tRPC's format.
pub fn error_code(body: &Value) -> &Value {
    match &body["errors"][0]["extensions"]["code"] {
        Value::Null => &body["error"]["data"]["reason"],
        code => code,
    }
}

/// An empty database. A SQLite file is deleted on drop; a PostgreSQL database goes with its server.
pub struct TestDatabase {
    pub url: String,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    pub async fn new(db: Db) -> Self {
        match db {
            Db::Sqlite => {
                let folder = TempDir::with_prefix("library-sync-test-").unwrap();
                let path = folder.path().join("library.db");
                Self {
                    url: format!("sqlite://{}?mode=rwc", path.display()),
                    _folder: Some(folder),
                }
            }
            Db::Postgres => {
                let server = postgres_server();
                let name = format!("test_{}", Uuid::now_v7().simple());
                let admin = sea_orm::Database::connect(&server).await.unwrap();
                let create = format!("CREATE DATABASE {name}");
                admin.execute_unprepared(&create).await.unwrap();
                admin.close().await.unwrap();
                let mut url = url::Url::parse(&server).unwrap();
                url.set_path(&name);
                Self {
                    url: url.into(),
                    _folder: None,
                }
            }
        }
    }

    /// An existing database.
    pub fn at(url: String) -> Self {
        Self { url, _folder: None }
    }

    /// The same database for another server. The original deletes it on drop.
    pub fn shared(&self) -> Self {
        Self {
            url: self.url.clone(),
            _folder: None,
        }
    }

    /// A copy of its current state. Nothing may be connected to it.
    pub async fn copy(&self, db: Db) -> Self {
        let copy = Self::new(db).await;
        match db {
            Db::Sqlite => {
                let target = copy.path();
                let connection = self.connect().await;
                let sql = format!("VACUUM INTO '{target}'");
                connection.execute_unprepared(&sql).await.unwrap();
                connection.close().await.unwrap();
            }
            Db::Postgres => {
                let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
                let admin = sea_orm::Database::connect(postgres_server()).await.unwrap();
                for sql in [
                    format!("DROP DATABASE {}", name(&copy.url)),
                    format!(
                        "CREATE DATABASE {} TEMPLATE {}",
                        name(&copy.url),
                        name(&self.url)
                    ),
                ] {
                    admin.execute_unprepared(&sql).await.unwrap();
                }
                admin.close().await.unwrap();
            }
        }
        copy
    }

    /// The file of a SQLite database.
    pub fn path(&self) -> &str {
        let path = self.url.strip_prefix("sqlite://");
        let path = path.and_then(|rest| rest.split('?').next());
        path.unwrap_or_else(|| panic!("{}", self.url))
    }

    /// A direct connection, to inspect what the server stored.
    pub async fn connect(&self) -> sea_orm::DatabaseConnection {
        let mut options = sea_orm::ConnectOptions::new(&self.url);
        options.max_connections(1);
        sea_orm::Database::connect(options).await.unwrap()
    }

    /// Runs `sql` on a direct connection.
    pub async fn execute(&self, sql: &str) {
        let db = self.connect().await;
        soon(sql, db.execute_unprepared(sql)).await.unwrap();
        db.close().await.unwrap();
    }

    /// The single value that `sql` selects.
    pub async fn scalar<T: sea_orm::TryGetable>(&self, sql: &str) -> T {
        let db = self.connect().await;
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql);
        let row = soon(sql, db.query_one_raw(statement)).await.unwrap();
        let row = row.expect("a row");
        let value = row.try_get_by_index(0).unwrap();
        db.close().await.unwrap();
        value
    }
}

/// The PostgreSQL that `scripts/test` starts.
fn postgres_server() -> String {
    std::env::var("LIBRARY_SYNC_TEST_POSTGRES")
        .expect("LIBRARY_SYNC_TEST_POSTGRES: run the tests by scripts/test, which starts the servers they need")
}

/// A token for `sub` that is valid for an hour.
pub fn token(sub: &str) -> String {
    token_for(sub, Duration::from_hours(1))
}

/// A token for `sub` that is valid for `ttl`.
pub fn token_for(sub: &str, ttl: Duration) -> String {
    auth::mint(
        SECRET.as_bytes(),
        &Rules::default(),
        &UserId::new(sub).unwrap(),
        ttl,
    )
    .unwrap()
}

/// A running server.
pub struct TestApp {
    pub base: String,
    pub db: TestDatabase,
    pub http: reqwest::Client,
    pub library: Library,
    /// The address of the listener for probes and metrics, if any.
    pub ops: Option<SocketAddr>,
    drain: CancellationToken,
    server: Option<JoinHandle<anyhow::Result<()>>>,
}

impl TestApp {
    /// A server with the settings of `serve`, on an empty database.
    pub async fn start(db: Db) -> Self {
        Self::start_with(db, &[]).await
    }

    /// Like [`Self::start`], with more flags of `serve`.
    pub async fn start_with(db: Db, flags: &[&str]) -> Self {
        Self::start_on(TestDatabase::new(db).await, flags).await
    }

    /// A server on an existing database.
    pub async fn start_on(db: TestDatabase, flags: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::start_at(listener, db, flags).await
    }

    /// A server on an existing listener.
    pub async fn start_at(listener: TcpListener, db: TestDatabase, flags: &[&str]) -> Self {
        install_crypto();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let config = serve_config(&db.url, flags);
        let drain = CancellationToken::new();
        let app = App::build(&config, drain.clone())
            .await
            .expect("the server builds");
        let library = app.library().clone();
        let ops = app.ops_address();
        let server = Some(tokio::spawn(app.run(listener)));
        Self {
            base,
            db,
            http: http_client(),
            library,
            ops,
            drain,
            server,
        }
    }

    /// The error of a server that must not start with these flags on the database `url`.
    pub async fn start_error(url: &str, flags: &[&str]) -> String {
        install_crypto();
        let app = App::build(&serve_config(url, flags), CancellationToken::new()).await;
        let error = app.err().expect("the server does not build");
        format!("{error:#}")
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The base address for WebSockets.
    pub fn ws_url(&self, path: &str) -> String {
        format!("ws{}{path}", self.base.strip_prefix("http").unwrap())
    }

    /// Acts as the user `name`.
    pub fn user(&self, name: &str) -> TestUser<'_> {
        TestUser {
            app: self,
            token: token(name),
        }
    }

    /// Stops the server, and waits until it has stopped.
    pub async fn stop(&mut self) {
        self.drain.cancel();
        if let Some(server) = self.server.take() {
            soon("the server stops", server).await.unwrap().unwrap();
        }
    }

    /// Requests a stop, without waiting.
    pub fn begin_stop(&self) {
        self.drain.cancel();
    }

    /// Stops, and starts another server at the same address on the same database.
    pub async fn restart(mut self, flags: &[&str]) -> Self {
        self.stop().await;
        let address = self.base.strip_prefix("http://").unwrap().to_owned();
        let db = std::mem::replace(
            &mut self.db,
            TestDatabase {
                url: String::new(),
                _folder: None,
            },
        );
        let listener = TcpListener::bind(address).unwrap();
        Self::start_at(listener, db, flags).await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

/// The settings of `serve` on the database `url`.
fn serve_config(url: &str, flags: &[&str]) -> config::Serve {
    let fixed = ["library-sync", "serve", "--database-url", url];
    // The keys come from the secret, unless the test configures another source.
    let has_keys = flags
        .iter()
        .any(|flag| matches!(*flag, "--jwt-public-key" | "--jwks-url" | "--authjs-secret"));
    let secret: &[&str] = if has_keys {
        &[]
    } else {
        &["--jwt-secret", SECRET]
    };
    let cli = Cli::try_parse_from(fixed.iter().chain(secret).chain(flags))
        .unwrap_or_else(|error| panic!("{error}"));
    match cli.command {
        config::Command::Serve(serve) => *serve,
        other => panic!("{other:?}"),
    }
}

fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// One user of a [`TestApp`].
pub struct TestUser<'a> {
    pub app: &'a TestApp,
    pub token: String,
}

impl TestUser<'_> {
    /// Sends an operation, and returns the whole response.
    pub async fn send(&self, query: &str, variables: Value) -> Value {
        let request = self
            .app
            .http
            .post(self.app.url("/graphql"))
            .bearer_auth(&self.token)
            .json(&json!({"query": query, "variables": variables}));
        soon("a response", async {
            request.send().await.unwrap().json().await.unwrap()
        })
        .await
    }

    /// Sends an operation that must succeed, and returns its `data`.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let mut response = self.send(query, variables).await;
        assert!(response.get("errors").is_none(), "{query}: {response}");
        response["data"].take()
    }

    /// Sends an operation that must fail as a whole, and returns the code of its one error.
    pub async fn refused(&self, query: &str, variables: Value) -> String {
        let response = self.send(query, variables).await;
        let errors = response["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("{query}: {response}"));
        assert_eq!(errors.len(), 1, "{response}");
        errors[0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{response}"))
            .to_owned()
    }

    /// The current version.
    pub async fn version(&self) -> i64 {
        self.ask("{ libraryVersion }", json!({})).await["libraryVersion"]
            .as_i64()
            .unwrap()
    }

    /// The current head, as text.
    pub async fn head(&self) -> String {
        let library = self.ask("{ library { head } }", json!({})).await;
        library["library"]["head"].as_str().unwrap().to_owned()
    }

    /// A head of the current epoch.
    pub async fn head_at(&self, version: i64) -> String {
        let head = self.head().await;
        format!("{}.{version}", head.split('.').next().unwrap())
    }

    /// Runs a mutation with one `input`, and returns its payload.
    pub async fn mutate(
        &self,
        mutation: &str,
        input_type: &str,
        input: Value,
        fields: &str,
    ) -> Value {
        let query = format!(
            "mutation ($input: {input_type}!) {{ {mutation}(input: $input) {{ libraryVersion libraryHead refusal {{ code message field existingId }} {fields} }} }}"
        );
        self.ask(&query, json!({"input": input})).await[mutation].take()
    }

    /// Adds a story with its progress, and returns the payload.
    pub async fn create_story(&self, input: Value) -> Value {
        let fields = "progress { id readingStatus currentChapter rating notes stamp story { id title author url source publicationStatus stamp tags { id name } fandoms { id name } } }";
        self.mutate(
            "createStoryWithProgress",
            "CreateStoryWithProgressInput",
            input,
            fields,
        )
        .await
    }

    /// Adds a story of this title, and returns its payload.
    pub async fn add(&self, title: &str) -> Value {
        let url = format!("https://example.org/{}", Uuid::now_v7());
        self.create_story(json!({"title": title, "url": url})).await
    }

    pub async fn update_story(&self, input: Value) -> Value {
        let fields = "story { id title author stamp tags { id name } fandoms { id name } }";
        self.mutate(
            "updateStoryWithRelations",
            "UpdateStoryWithRelationsInput",
            input,
            fields,
        )
        .await
    }

    pub async fn update_progress(&self, input: Value) -> Value {
        let fields = "progress { id readingStatus currentChapter rating notes stamp }";
        self.mutate("updateProgress", "UpdateProgressInput", input, fields)
            .await
    }

    pub async fn delete_progress(&self, id: &Value) -> Value {
        self.mutate(
            "deleteProgress",
            "DeleteProgressInput",
            json!({"id": id}),
            "deletedProgressId",
        )
        .await
    }

    pub async fn create_tag(&self, name: &str) -> Value {
        self.mutate(
            "createTag",
            "CreateLabelInput",
            json!({"name": name}),
            "tag { id name }",
        )
        .await
    }

    /// Opens `/api/library-version-events`.
    pub async fn watch(&self) -> EventStream {
        EventStream::open(&self.app.http, &self.app.base, &self.token).await
    }
}

/// An open stream of library version events.
pub struct EventStream {
    response: reqwest::Response,
    buffer: String,
}

impl EventStream {
    /// Opens the stream of the server at `base`.
    pub async fn open(http: &reqwest::Client, base: &str, token: &str) -> Self {
        let request = http
            .get(format!("{base}/api/library-version-events"))
            .bearer_auth(token);
        let response = soon("the stream opens", request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            response,
            buffer: String::new(),
        }
    }

    /// The next event's `data`; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let data = event
                    .lines()
                    .find_map(|line| line.strip_prefix("data:"))
                    .map(str::trim);
                let data = data.map(|data| serde_json::from_str(data).unwrap());
                self.buffer = rest.to_owned();
                if data.is_some() {
                    return data;
                }
                continue;
            }
            let chunk = soon("an event", self.response.chunk()).await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Reads until an event carries `version`, and returns all versions received, in order. Includes heartbeats.
    pub async fn until(&mut self, version: i64) -> Vec<i64> {
        let mut received = Vec::new();
        while received.last() != Some(&version) {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the stream ended after {received:?}"));
            received.push(event["version"].as_i64().unwrap());
            assert!(*received.last().unwrap() <= version, "{received:?}");
        }
        received
    }
}

/// The program itself, as a process that is killed when this is dropped.
pub struct TestProcess {
    pub base: String,
    pub child: Child,
    http: reqwest::Client,
}

impl TestProcess {
    /// Runs `library-sync serve` on the database `url`, and waits until it is ready.
    pub async fn serve(url: &str, flags: &[&str]) -> Self {
        Self::serve_logging(url, flags, Stdio::inherit()).await
    }

    /// Like [`Self::serve`], logging to `log`.
    pub async fn serve_logging(url: &str, flags: &[&str], log: Stdio) -> Self {
        Self::start(free_port(), url, flags, log).await
    }

    /// Like [`Self::serve`], at a given port.
    pub async fn serve_at(port: u16, url: &str, flags: &[&str]) -> Self {
        Self::start(port, url, flags, Stdio::inherit()).await
    }

    /// Like [`Self::serve_logging`], with a limit of open files.
    pub async fn serve_with_files(files: u32, url: &str, flags: &[&str], log: Stdio) -> Self {
        let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        let mut command = without_settings(Command::new("sh"));
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_library-sync")]);
        Self::run(command, free_port(), url, flags, log)
            .ready()
            .await
    }

    async fn start(port: u16, url: &str, flags: &[&str], log: Stdio) -> Self {
        Self::spawn(port, url, flags, log).ready().await
    }

    /// Waits until it responds.
    async fn ready(self) -> Self {
        let ready = async {
            let ready = self.url("/readyz");
            while self.http.get(&ready).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon("the program is ready", ready).await;
        self
    }

    /// Like [`Self::serve_logging`], with a clock that is off by `offset`, such as `+300s`.
    pub async fn serve_by_clock(offset: &str, url: &str, flags: &[&str], log: Stdio) -> Self {
        let mut faketime = without_settings(Command::new("faketime"));
        faketime
            .args(["--exclude-monotonic", "-f", offset])
            // A killed faketime does not kill its child.
            .args(["setpriv", "--pdeathsig", "KILL"])
            .arg(env!("CARGO_BIN_EXE_library-sync"));
        Self::run(faketime, free_port(), url, flags, log)
            .ready()
            .await
    }

    /// Starts it without waiting until it is ready.
    pub fn spawn(port: u16, url: &str, flags: &[&str], log: Stdio) -> Self {
        Self::run(program(), port, url, flags, log)
    }

    /// Like [`Self::spawn`], with a prepared command.
    pub fn run(mut program: Command, port: u16, url: &str, flags: &[&str], log: Stdio) -> Self {
        install_crypto();
        let listen = format!("127.0.0.1:{port}");
        let child = program
            .args([
                "serve",
                "--database-url",
                url,
                "--jwt-secret",
                SECRET,
                "--listen",
                &listen,
            ])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            base: format!("http://{listen}"),
            child,
            http: http_client(),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends an operation. `Err` without a response.
    pub async fn send(&self, sub: &str, query: &str, variables: Value) -> reqwest::Result<Value> {
        self.sending(sub, query, variables).await
    }

    /// Like [`Self::send`], for a future that outlives `self`.
    pub fn sending(
        &self,
        sub: &str,
        query: &str,
        variables: Value,
    ) -> impl Future<Output = reqwest::Result<Value>> + use<> {
        let body = json!({"query": query, "variables": variables});
        let request = self
            .http
            .post(self.url("/graphql"))
            .bearer_auth(token(sub))
            .json(&body);
        async { request.send().await?.json().await }
    }

    /// Opens `/api/library-version-events` as the user `sub`.
    pub async fn watch(&self, sub: &str) -> EventStream {
        EventStream::open(&self.http, &self.base, &token(sub)).await
    }

    /// A counter of `/metrics`, summed over its labels.
    pub async fn counter(&self, name: &str) -> f64 {
        let text = self
            .http
            .get(self.url("/metrics"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let is_of = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        };
        text.lines()
            .filter(is_of)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The number of statements that `work` costs: the least of five runs, because a node sends some by itself at any
    /// time.
    pub async fn statements<R: Future>(&self, work: impl Fn() -> R) -> (f64, R::Output) {
        let name = "library_sync_db_statements_total";
        let mut cost = f64::INFINITY;
        let mut output = None;
        for _ in 0..5 {
            let before = self.counter(name).await;
            output = Some(work().await);
            cost = cost.min(self.counter(name).await - before);
        }
        (cost, output.unwrap())
    }

    /// Sends SIGTERM or another signal.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits until the process exits, and returns its exit code.
    pub async fn wait(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("the program ends", ended).await
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command of the program, without the settings of this process.
pub fn program() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_library-sync")))
}

fn without_settings(mut command: Command) -> Command {
    let settings = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        name.starts_with("LIBRARY_SYNC_") || name == "DATABASE_URL"
    });
    for (name, _) in settings {
        command.env_remove(name);
    }
    command
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
