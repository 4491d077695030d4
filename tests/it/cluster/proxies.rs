//! The reverse proxies with the settings that docs/operations.md shows: two servers behind each, all transports through it.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    support::nginx,
    support::printed::blocks,
    support::servers::{free_port, kill_process_group},
    support::test_app::{Db, TestDatabase, TestProcess, http_client, soon, token},
    support::workload::{ClientBehavior, Timeline, Workload},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

/// Makes three tests of each rule: `<rule>::by_nginx`, `by_caddy` and `by_haproxy`.
macro_rules! by_each_proxy {
    ($(async fn $rule:ident($kind:ident: Kind) $body:block)*) => {$(
        mod $rule {
            use super::*;

            async fn rule($kind: Kind) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn by_nginx() {
                rule(Kind::Nginx).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn by_caddy() {
                rule(Kind::Caddy).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn by_haproxy() {
                rule(Kind::Haproxy).await;
            }
        }
    )*};
}

/// A proxy in front of two servers on one database.
struct Front {
    kind: Kind,
    base: String,
    database: TestDatabase,
    flags: Vec<String>,
    servers: [TestProcess; 2],
    proxy: Child,
    _folder: TempDir,
}

impl Front {
    async fn start(kind: Kind, flags: &[&str]) -> Self {
        let database = TestDatabase::new(Db::Postgres).await;
        let fixed = [
            "--broker-url",
            "postgres:",
            "--client-address-header",
            "x-forwarded-for",
        ];
        let flags = [&fixed[..], flags].concat();
        let servers = [
            TestProcess::serve(&database.url, &flags).await,
            TestProcess::serve(&database.url, &flags).await,
        ];
        let port = free_port();
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let proxy = kind.command(&folder, &kind.settings(port, &servers));
        let front = Self {
            kind,
            base: format!("http://127.0.0.1:{port}"),
            database,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            servers,
            proxy: { proxy }.spawn().unwrap(),
            _folder: folder,
        };
        soon("the proxy forwards to a server", async {
            loop {
                let response = reqwest::get(format!("{}/api/library-version", front.base)).await;
                if response.is_ok_and(|response| response.status() == 401) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        front
    }
}

impl Front {
    /// Replaces one server as docs/operations.md says: SIGTERM, wait for its exit, start the new one, wait for `/readyz` and
    /// for two checks of the proxy.
    async fn replace(&mut self, server: usize) {
        let old = &mut self.servers[server];
        let port = old.base.rsplit(':').next().unwrap().parse().unwrap();
        old.signal("-TERM");
        assert_eq!(old.wait().await, Some(0));
        let flags: Vec<_> = self.flags.iter().map(String::as_str).collect();
        *old = TestProcess::serve_at(port, &self.database.url, &flags).await;
        let ready = old.url("/readyz");
        soon("the new server is ready", async {
            while !reqwest::get(&ready)
                .await
                .is_ok_and(|response| response.status() == 200)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        if self.kind.checks_health() {
            let own = checks(old).await;
            soon("the proxy checks the new server twice", async {
                while checks(old).await < own + 2 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
            .await;
        }
    }
}

/// How often `/readyz` of a server has returned 200.
async fn checks(server: &TestProcess) -> u64 {
    let metrics = reqwest::get(server.url("/metrics")).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let series = "library_sync_http_requests_total{route=\"/readyz\",status=\"200\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(series));
    count.map_or(0, |count| count.parse().unwrap())
}

impl Drop for Front {
    fn drop(&mut self) {
        // Workers of nginx outlive a killed master, so the whole process group is killed.
        kill_process_group(&mut self.proxy);
    }
}

impl Kind {
    /// Whether the proxy polls `/readyz`. The open-source nginx does not: it tries the servers in turn.
    fn checks_health(self) -> bool {
        self != Self::Nginx
    }

    /// What docs/operations.md shows, with the addresses of the test.
    fn settings(self, port: u16, servers: &[TestProcess; 2]) -> String {
        let (language, shown, bound) = match self {
            Self::Nginx => ("nginx", "listen 80;", format!("listen 127.0.0.1:{port};")),
            Self::Caddy => (
                "Caddyfile",
                "http://:80 {",
                format!("http://:{port} {{\n  bind 127.0.0.1"),
            ),
            Self::Haproxy => ("haproxy", "bind :80", format!("bind 127.0.0.1:{port}")),
        };
        let [settings] = blocks("docs/operations.md", language).try_into().unwrap();
        let mut settings: String = settings;
        let [one, two] = servers
            .each_ref()
            .map(|server| server.base.strip_prefix("http://").unwrap());
        for (shown, here) in [
            (shown, bound.as_str()),
            ("127.0.0.1:4000", one),
            ("127.0.0.1:4001", two),
        ] {
            assert!(settings.contains(shown), "{shown} is not in {settings}");
            settings = settings.replace(shown, here);
        }
        settings
    }

    fn command(self, folder: &TempDir, settings: &str) -> Command {
        let (program, arguments, settings) = match self {
            Self::Nginx => (
                "nginx",
                nginx::ARGUMENTS.to_vec(),
                nginx::settings(folder.path(), settings),
            ),
            Self::Caddy => (
                "caddy",
                vec!["run", "--adapter", "caddyfile", "--config", "settings"],
                format!("{{\n  admin off\n  auto_https off\n}}\n{settings}"),
            ),
            Self::Haproxy => ("haproxy", vec!["-f", "settings"], format!("{settings}\n")),
        };
        fs::write(folder.path().join("settings"), settings).unwrap();
        let mut command = Command::new(nginx::installed(program));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// The largest added delivery lag of the median push through a proxy. A proxy that waits for
/// more bytes before it sends costs 40 or 200 ms.
const MAX_PROXY_LAG: Duration = Duration::from_millis(30);

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

by_each_proxy! {
    async fn every_transport_delivers_changes_at_once(kind: Kind) {
        let front = Front::start(kind, &["--max-user-rate", "0", "--max-address-rate", "0"]).await;
        let timeline = Timeline::new(0);
        let bases = [front.base.clone(), front.servers[0].base.clone()];
        let behavior = ClientBehavior { write_interval: Some(Duration::from_millis(100)), ..ClientBehavior::default() };
        let workload = Workload::start_with(&bases, 2, &timeline, behavior);
        // Far from the next heartbeat, which would flush a buffer.
        for _ in 0..5 {
            workload.until_acknowledged(10).await;
            workload.until_converged(Duration::from_secs(5)).await;
        }
        let [through_proxy, direct] = bases.map(|base| median(&workload.lags(&base)));
        println!("median delivery lag: {through_proxy:?} through {kind:?}, {direct:?} directly");
        assert!(through_proxy <= 3 * direct + MAX_PROXY_LAG, "{through_proxy:?} against {direct:?}");
    }

    async fn every_server_is_replaced_and_no_client_misses_a_change(kind: Kind) {
        let flags = [
            "--max-user-rate", "0", "--max-address-rate", "0", "--shutdown-delay", "5s", "--drain-spread", "1s",
        ];
        let mut front = Front::start(kind, &flags).await;
        let timeline = Timeline::new(0);
        let behavior = ClientBehavior { write_interval: Some(Duration::from_secs(1)), is_browser: true };
        // 50 changes a second, and 200 streams.
        let workload = Workload::start_with(std::slice::from_ref(&front.base), 50, &timeline, behavior);
        workload.until_converged(Duration::from_secs(30)).await;
        for round in 1..=3 {
            for server in 0..2 {
                timeline.record(&format!("round {round}: replace server {server}"));
                front.replace(server).await;
            }
        }
        workload.until_converged(Duration::from_secs(10)).await;
        let (requests, failed) = workload.requests();
        let longest = workload.lags(&front.base).last().copied().unwrap();
        println!("{kind:?}: {failed} of {requests} requests failed; the longest delivery lag was {longest:?}");
        // Each was retried with its idempotency key and acknowledged.
        assert!(failed * 1000 <= requests, "{failed} of {requests} requests failed:\n{}", timeline.text());
        assert!(longest < Duration::from_secs(10), "the longest delivery lag was {longest:?}:\n{}", timeline.text());
    }

    async fn a_client_cannot_spoof_its_address(kind: Kind) {
        let front = Front::start(kind, &["--max-address-rate", "2", "--max-user-rate", "0"]).await;
        let http = http_client();
        let mut refused = false;
        for _ in 0..80 {
            let spoofed = format!("10.0.{}.{}", fastrand::u8(..), fastrand::u8(..));
            let request = http
                .post(format!("{}/graphql", front.base))
                .header("X-Forwarded-For", spoofed)
                .bearer_auth(token(&Uuid::now_v7().to_string()))
                .json(&json!({"query": "{ __typename }"}))
                .send();
            let status = soon("a response", request).await.unwrap().status();
            refused |= status == 429;
        }
        assert!(refused);
    }
}
