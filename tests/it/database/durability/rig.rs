//! A server process on a database with an injectable disk.

use std::{fs::File, path::PathBuf, process::Stdio, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    faults::Disk,
    ledger::{Acknowledged, Ledger},
};
use crate::{
    support::servers::{Server, free_port},
    support::test_app::{Db, TestDatabase, TestProcess, http_client, program, soon, token},
};

/// The server's settings: short timeouts, so that it meets faults often.
const FLAGS: [&str; 8] = [
    "--max-batch",
    "2",
    "--max-user-rate",
    "0",
    "--database-wait",
    "1s",
    "--statement-timeout",
    "2s",
];

/// The size of the disk.
const MEGABYTES: usize = 112;

/// The maximum number of attempts per change.
const MAX_ATTEMPTS: usize = 4;

/// A server, its database, and the disk below.
pub struct Rig {
    pub db: Db,
    pub seed: u64,
    pub http: reqwest::Client,
    port: u16,
    // Dropped in this order: processes, then their disk, then its folder.
    server: Option<TestProcess>,
    postgres: Option<Server>,
    pub faults: Disk,
    folder: TempDir,
    /// On another disk, which is never full.
    log: PathBuf,
    _log_folder: TempDir,
}

impl Rig {
    pub async fn start(db: Db, seed: u64) -> Self {
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let faults = Disk::new(folder.path(), MEGABYTES, seed);
        let postgres = match db {
            Db::Sqlite => {
                std::fs::create_dir(folder.path().join("data")).unwrap();
                None
            }
            Db::Postgres => Some(Server::postgres_on(folder.path(), faults.environment()).await),
        };
        let log_folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let mut rig = Self {
            db,
            seed,
            http: http_client(),
            port: free_port(),
            server: None,
            postgres,
            faults,
            folder,
            log: log_folder.path().join("log"),
            _log_folder: log_folder,
        };
        rig.start_what_is_down().await;
        rig
    }

    /// Starts the server and PostgreSQL if they are not running.
    pub async fn start_what_is_down(&mut self) {
        if let Some(postgres) = &mut self.postgres {
            postgres.start_if_down().await;
        }
        if self.server.is_some() {
            return;
        }
        let mut command = program();
        if self.db == Db::Sqlite {
            command.envs(self.faults.environment());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let url = self.url_of("rwc");
        let server = TestProcess::run(command, self.port, &url, &FLAGS, Stdio::from(log));
        self.server = Some(server);
        soon("the server is ready", async {
            while self.status("/readyz").await != StatusCode::OK {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// SIGKILL.
    pub fn kill_server(&mut self) {
        self.server = None;
    }

    /// SIGKILL to PostgreSQL and all its processes.
    pub fn kill_database(&mut self) {
        self.postgres.as_mut().unwrap().kill();
    }

    /// The database, for a direct connection.
    pub fn database(&self) -> TestDatabase {
        TestDatabase::at(self.url_of("ro"))
    }

    fn url_of(&self, mode: &str) -> String {
        if let Some(postgres) = &self.postgres {
            return postgres.url();
        }
        let path = self.folder.path().join("data/library.db");
        format!("sqlite://{}?mode={mode}", path.display())
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The status of a GET; 502 without a response.
    pub async fn status(&self, path: &str) -> StatusCode {
        let response = self.http.get(self.url(path)).send();
        let response = soon(path, response).await;
        response.map_or(StatusCode::BAD_GATEWAY, |response| response.status())
    }

    /// The server's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// A client, which survives restarts of the server.
    pub fn sender(&self) -> Sender {
        Sender {
            http: self.http.clone(),
            url: self.url("/graphql"),
        }
    }
}

/// Sends changes.
pub struct Sender {
    http: reqwest::Client,
    url: String,
}

impl Sender {
    /// Makes one change under an idempotency key, retries it while it is refused, and records the response.
    /// Returns whether the change was acknowledged.
    pub async fn change(&self, user: &'static str, ledger: &Ledger) -> bool {
        let name = Uuid::now_v7().to_string();
        let body = body_of(&name);
        for _ in 0..MAX_ATTEMPTS {
            match self.send(user, &body).await {
                Ok(response) => {
                    if let Some(version) = response["data"]["made"]["libraryVersion"].as_i64() {
                        let refusal = &response["data"]["made"]["refusal"];
                        assert!(refusal.is_null(), "{response}");
                        ledger.acknowledge(Acknowledged {
                            user,
                            name,
                            version,
                        });
                        return true;
                    }
                    let code = &response["errors"][0]["extensions"]["code"];
                    assert_eq!(code, "UNAVAILABLE", "{response}");
                    ledger.refuse();
                }
                Err(_) => ledger.miss_response(),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    async fn send(&self, user: &str, body: &Value) -> reqwest::Result<Value> {
        let request = self
            .http
            .post(&self.url)
            .bearer_auth(token(user))
            .json(body);
        soon("a response", async { request.send().await?.json().await }).await
    }
}

/// A request that creates a tag, or a story of random size.
fn body_of(name: &str) -> Value {
    let key = Uuid::now_v7();
    if fastrand::bool() {
        let query = "mutation ($input: CreateLabelInput!) { \
            made: createTag(input: $input) { libraryVersion refusal { code } } }";
        return json!({"query": query, "variables": {"input": {"name": name, "idempotencyKey": key}}});
    }
    let query = "mutation ($input: CreateStoryWithProgressInput!) { \
        made: createStoryWithProgress(input: $input) { libraryVersion refusal { code } } }";
    // Random, so that PostgreSQL cannot compress it.
    let notes: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(fastrand::usize(0..9_000))
        .collect();
    let input = json!({
        "title": name,
        "url": format!("https://example.org/{name}"),
        "notes": notes,
        "idempotencyKey": key,
    });
    json!({"query": query, "variables": {"input": input}})
}
