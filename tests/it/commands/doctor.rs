//! `library-sync doctor` names what is wrong with a set-up, for set-ups that are broken in fact, and finds nothing wrong
//! with a healthy one.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use axum::{Router, http::StatusCode, routing::any};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    support::nginx::Nginx,
    support::programs::Finish as _,
    support::servers::{Server, free_port, pgbouncer},
    support::test_app::{Db, SECRET, TestApp, TestDatabase, program},
};

const SUBJECT: &str = "mailto:ops@example.org";
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HUSH: &str = "Hush7Secret";

/// What a run of the doctor found.
struct Report {
    code: Option<i32>,
    findings: Vec<Value>,
    stderr: String,
}

impl Report {
    /// Runs the doctor with these flags.
    fn of(flags: &[&str]) -> Self {
        Self::by(program(), flags)
    }

    /// Runs the doctor by a command that ends with the program.
    fn by(mut command: Command, flags: &[&str]) -> Self {
        command
            .args(["doctor", "--json", "--deadline", "5s"])
            .args(flags);
        let ran = tokio::task::block_in_place(|| command.finish());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (code, stdout, stderr) = (ran.status.code(), text(ran.stdout), text(ran.stderr));
        for secret in [SECRET, HUSH, WEBHOOK_SECRET] {
            let shown = format!("{stdout}{stderr}");
            assert!(!shown.contains(secret), "{shown}");
        }
        let mut report: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|error| panic!("{error}: {stdout} {stderr}"));
        let Value::Array(findings) = report["findings"].take() else {
            panic!("{stdout}");
        };
        Self {
            code,
            findings,
            stderr,
        }
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.findings.iter().filter(|it| it["verdict"] == "failed");
        failed.map(|it| it["check"].as_str().unwrap()).collect()
    }

    /// The set-up is broken: one check fails, and says this of the cause and of the remedy.
    fn names(&self, set_up: &str, check: &str, found: &str, fix: &str) {
        let shown = format!("{set_up}: {:#?}", self.findings);
        assert_eq!(self.failed(), [check], "{shown}");
        let finding = self
            .findings
            .iter()
            .find(|it| it["check"] == check)
            .unwrap();
        assert!(
            finding["found"].as_str().unwrap().contains(found),
            "{shown}"
        );
        assert!(finding["fix"].as_str().unwrap().contains(fix), "{shown}");
        assert_eq!(self.code, Some(1), "{shown}");
        assert!(self.stderr.contains("1 of "), "{}", self.stderr);
    }

    /// Nothing is wrong, and everything was examined but these.
    fn is_healthy(&self, skipped: &[&str]) {
        let shown = format!("{:#?}", self.findings);
        assert_eq!(self.code, Some(0), "{shown}");
        for finding in &self.findings {
            let check = finding["check"].as_str().unwrap();
            let verdict = finding["verdict"].as_str().unwrap();
            // The machine that runs the test may have little room, and a busy one is slow.
            let is_of_machine =
                ["database.disk", "database.latency", "broker", "open_files"].contains(&check);
            let is_right = match verdict {
                "ok" => true,
                "warning" => is_of_machine,
                "skipped" => skipped.contains(&check),
                _ => false,
            };
            assert!(is_right, "{check} is {verdict}: {shown}");
        }
    }
}

/// The flags of a server with this database.
fn flags_of<'f>(url: &'f str, more: &[&'f str]) -> Vec<&'f str> {
    [&["--database-url", url, "--jwt-secret", SECRET][..], more].concat()
}

/// An HTTP server that answers every request so.
struct Answering {
    base: String,
    serving: AbortHandle,
}

impl Answering {
    async fn with(status: StatusCode, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(any(async move || (status, body)));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            base,
            serving: serving.abort_handle(),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A migrated database.
async fn migrated(db: Db) -> TestDatabase {
    let mut app = TestApp::start(db).await;
    app.stop().await;
    std::mem::replace(&mut app.db, TestDatabase::at(String::new()))
}

fn vapid_key() -> String {
    library_sync::push::new_key().unwrap()
}

/// One `server` of nginx, with these directives in its location.
fn server(port: u16, upstream: &str, directives: &str) -> String {
    format!(
        "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {upstream}; proxy_http_version 1.1; {directives} }} }}\n"
    )
}

const UPGRADE: &str =
    "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
const HOST: &str = "proxy_set_header Host $http_host;";
const FORWARDED: &str = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_nothing_wrong_with_a_healthy_set_up() {
    let beside = Answering::with(StatusCode::NO_CONTENT, "").await;
    let redis = std::env::var("LIBRARY_SYNC_TEST_REDIS").unwrap();
    let key = vapid_key();
    let set_up = [
        "--broker-url",
        &redis,
        "--client-address-header",
        "x-forwarded-for",
        "--heartbeat",
        "500ms",
        "--vapid-key",
        &key,
        "--vapid-subject",
        SUBJECT,
        "--push-allow",
        &beside.base,
        "--webhook",
        &beside.base,
        "--webhook-secret",
        WEBHOOK_SECRET,
    ];
    let app = TestApp::start_with(Db::Postgres, &set_up).await;
    let port = free_port();
    let front = server(port, &app.base, &[UPGRADE, HOST, FORWARDED].concat());
    let _nginx = Nginx::start(&front, &[port]).await;
    let front = format!("http://127.0.0.1:{port}");
    let flags = flags_of(&app.db.url, &[&set_up[..], &["--url", &front]].concat());
    Report::of(&flags).is_healthy(&[]);

    let database = migrated(Db::Sqlite).await;
    let skipped = ["push.vapid", "push.services", "webhook", "proxy.reachable"];
    Report::of(&flags_of(&database.url, &[])).is_healthy(&skipped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_each_broken_broker() {
    let database = migrated(Db::Sqlite).await;
    let broker = |url: &str| Report::of(&flags_of(&database.url, &["--broker-url", url]));
    let unreachable = format!("redis://ann:{HUSH}@127.0.0.1:{}", free_port());
    let report = broker(&unreachable);
    report.names(
        "unreachable broker",
        "broker",
        "refused",
        "start the server",
    );

    let rules =
        format!("library-sync on >{HUSH} -@all +ping resetchannels &other:* +spublish +ssubscribe");
    let rules: Vec<_> = ["--user"].into_iter().chain(rules.split(' ')).collect();
    let redis = Server::redis(&rules).await;
    let login = |password: &str| {
        redis
            .url()
            .replace("redis://", &format!("redis://library-sync:{password}@"))
    };
    let report = broker(&login(HUSH));
    report.names(
        "broker without permission",
        "broker",
        "grant +spublish",
        "permissions",
    );
    let report = broker(&login("wrong"));
    report.names("broker with a wrong password", "broker", "", "password");
    redis.freeze();
    let report = broker(&redis.url());
    report.names(
        "broker that hangs",
        "broker",
        "no result within 5s",
        "firewall",
    );

    let nats = Server::nats(&["--user", "ann", "--pass", HUSH]).await;
    let report = broker(&nats.url());
    report.names("NATS without a login", "broker", "", "password");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_passes_every_kind_of_broker() {
    let database = migrated(Db::Postgres).await;
    let of = |name: &str| std::env::var(name).unwrap();
    for url in [
        "postgres:".to_owned(),
        of("LIBRARY_SYNC_TEST_REDIS_CLUSTER"),
        of("LIBRARY_SYNC_TEST_NATS"),
    ] {
        let report = Report::of(&flags_of(&database.url, &["--broker-url", &url]));
        assert_eq!(report.failed(), [""; 0], "{url}: {:#?}", report.findings);
        let broker = report
            .findings
            .iter()
            .find(|it| it["check"] == "broker")
            .unwrap();
        assert!(
            broker["found"].as_str().unwrap().contains("a notice takes"),
            "{broker}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_each_broken_setting_and_server_beside() {
    let database = migrated(Db::Sqlite).await;
    let page = Answering::with(StatusCode::OK, "<html>not keys</html>").await;
    let closed = format!("http://127.0.0.1:{}", free_port());
    let key = vapid_key();
    let broken_key = key.replace('M', "N");
    let of_push = ["--vapid-subject", SUBJECT, "--vapid-key"];
    let with = |more: &[&str]| Report::of(&flags_of(&database.url, more));
    let of_keys = |url: &str| Report::of(&["--database-url", &database.url, "--jwks-url", url]);

    let report = of_keys(&format!("{}/jwks?key={HUSH}", page.base));
    report.names(
        "wrong JWKS",
        "tokens.keys",
        "not a JSON Web Key Set",
        "--jwks-url",
    );
    let report = of_keys(&closed);
    report.names(
        "key server down",
        "tokens.keys",
        "no response",
        "--jwks-url",
    );
    let report = with(&[&of_push[..], &[&broken_key]].concat());
    report.names(
        "broken VAPID key",
        "push.vapid",
        "private key of P-256",
        "library-sync vapid",
    );
    let report = with(&[&of_push[..], &[&key, "--push-allow", &closed]].concat());
    report.names(
        "push service unreachable",
        "push.services",
        "does not answer",
        "port 443",
    );
    let report = with(&["--webhook", &closed, "--webhook-secret", WEBHOOK_SECRET]);
    report.names(
        "receiver of the webhook down",
        "webhook",
        "does not answer",
        "--webhook",
    );
    let report = with(&["--drain-spread", "20s"]);
    report.names(
        "spread longer than the grace",
        "configuration",
        "--drain-spread",
        "docs/configuration.md",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_each_broken_database() {
    let empty = TestDatabase::new(Db::Postgres).await;
    let report = Report::of(&flags_of(&empty.url, &[]));
    report.names(
        "missing schema",
        "database.schema",
        "lacks the table",
        "migrate up",
    );

    let database = migrated(Db::Postgres).await;
    let mut faketime = Command::new("faketime");
    faketime
        .args(["--exclude-monotonic", "-f", "+600s"])
        .arg(env!("CARGO_BIN_EXE_library-sync"));
    let report = Report::by(faketime, &flags_of(&database.url, &[]));
    report.names(
        "clock 10 minutes ahead",
        "database.clock",
        "ahead of",
        "NTP",
    );

    let closed = format!("postgres://ann:{HUSH}@127.0.0.1:{}/db", free_port());
    let report = Report::of(&flags_of(&closed, &[]));
    report.names(
        "database down",
        "database.connection",
        "refused",
        "start the server",
    );
    let nowhere = format!("{}_missing", database.url);
    let report = Report::of(&flags_of(&nowhere, &[]));
    report.names(
        "no such database",
        "database.connection",
        "does not exist",
        "correct its name",
    );

    let name = database.url.rsplit('/').next().unwrap();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    database.execute(&read_only).await;
    let report = Report::of(&flags_of(&database.url, &[]));
    report.names(
        "read-only database",
        "database.writes",
        "read-only",
        "primary",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_a_wrong_password() {
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    // PostgreSQL runs as another user.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("hba");
    fs::write(
        &file,
        "host all postgres all trust\nhost all all all scram-sha-256\n",
    )
    .unwrap();
    let rules = format!("hba_file={}", file.display());
    let postgres = Server::postgres_with(&[&rules]).await;
    let url = postgres.url().replace("postgres@", &format!("ann:{HUSH}@"));
    let report = Report::of(&flags_of(&url, &[]));
    report.names(
        "wrong password",
        "database.connection",
        "password authentication failed",
        "password",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_a_pooler_in_transaction_mode() {
    let database = migrated(Db::Postgres).await;
    let mut url: url::Url = database.url.parse().unwrap();
    let port = url.port().unwrap();
    let without_statements = [
        "pool_mode = transaction",
        "default_pool_size = 1",
        "max_prepared_statements = 0",
    ];
    // Versions before 1.21 have no such setting, and no prepared statements.
    let version = Command::new(pgbouncer()).arg("--version").finish();
    let version = String::from_utf8(version.stdout).unwrap();
    let minor: u32 = version
        .split(['.', ' ', '\n'])
        .nth(2)
        .unwrap()
        .parse()
        .unwrap();
    let keeps_statements = minor >= 21;
    let settings = if keeps_statements {
        &without_statements[..]
    } else {
        &without_statements[..2]
    };
    let pooler = Server::pgbouncer(port, settings).await;
    url.set_port(Some(pooler.port)).unwrap();
    let report = Report::of(&flags_of(url.as_str(), &[]));
    let remedy = "max_prepared_statements above 0";
    report.names(
        "pooler without prepared statements",
        "database.connection",
        "connection pooler",
        remedy,
    );
    if !keeps_statements {
        return;
    }
    let settings = [
        "pool_mode = transaction",
        "default_pool_size = 2",
        "max_prepared_statements = 50",
    ];
    let pooler = Server::pgbouncer(port, &settings).await;
    url.set_port(Some(pooler.port)).unwrap();
    let report = Report::of(&flags_of(url.as_str(), &["--broker-url", "postgres:"]));
    let failed = report.failed();
    assert!(
        failed.contains(&"database.pooler"),
        "{:#?}",
        report.findings
    );
    let report = Report::of(&flags_of(url.as_str(), &[]));
    let pooler = report
        .findings
        .iter()
        .find(|it| it["check"] == "database.pooler")
        .unwrap();
    assert_eq!(pooler["verdict"], "warning", "{pooler}");
    assert!(
        pooler["fix"]
            .as_str()
            .unwrap()
            .contains("PostgreSQL itself"),
        "{pooler}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_a_disk_that_is_nearly_full() {
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    let path = folder.path().to_str().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=48m", "library-sync-test", path])
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("no tmpfs can be mounted here: the full disk is not tested");
        return;
    }
    let url = format!("sqlite://{path}/library.db?mode=rwc");
    let mut app = TestApp::start_on(TestDatabase::at(url.clone()), &[]).await;
    app.stop().await;
    fs::write(folder.path().join("filler"), vec![0; 40 << 20]).unwrap();
    let report = Report::of(&flags_of(&url, &[]));
    let unmounted = Command::new("umount").args(["-l", path]).finish();
    assert!(unmounted.status.success());
    report.names(
        "disk nearly full",
        "database.disk",
        "MiB free",
        "free space",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_names_each_fault_of_a_proxy() {
    let behind = [
        "--heartbeat",
        "2s",
        "--client-address-header",
        "x-forwarded-for",
    ];
    let app = TestApp::start_with(Db::Sqlite, &behind).await;
    let unaware = TestApp::start_with(Db::Sqlite, &behind[..2]).await;
    let closed = format!("http://127.0.0.1:{}", free_port());
    let buffering = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_proxied any; \
                     gzip_types text/event-stream; gzip_min_length 1;";
    let all = [UPGRADE, HOST, FORWARDED].concat();
    let port_of_other = "proxy_set_header Host internal:4000;";
    let cases = [
        (
            "buffering proxy",
            &app,
            &app.base,
            format!("{buffering}{all}"),
            "proxy.buffering",
            "holds events back",
            "proxy_buffering off",
        ),
        (
            "no WebSocket upgrade",
            &app,
            &app.base,
            [HOST, FORWARDED].concat(),
            "proxy.websocket",
            "upgrade",
            "proxy_set_header Upgrade",
        ),
        (
            "short idle timeout",
            &app,
            &app.base,
            format!("proxy_read_timeout 1s;{all}"),
            "proxy.idle_timeout",
            "closed the stream after",
            "proxy_read_timeout",
        ),
        (
            "another Host",
            &app,
            &app.base,
            [UPGRADE, FORWARDED, port_of_other].concat(),
            "proxy.host",
            "internal:4000",
            "$http_host",
        ),
        (
            "address of the client not taken",
            &unaware,
            &unaware.base,
            all.clone(),
            "proxy.client_address",
            "every client",
            "--client-address-header",
        ),
        (
            "client that chooses its address",
            &app,
            &app.base,
            [UPGRADE, HOST].concat(),
            "proxy.client_address",
            "chooses its own address",
            "set or append",
        ),
        (
            "proxy that leads nowhere",
            &app,
            &closed,
            all.clone(),
            "proxy.reachable",
            "502",
            "server's address in the proxy",
        ),
    ];
    let cases = cases.map(|case| (free_port(), case));
    let servers = cases
        .iter()
        .map(|(port, case)| server(*port, case.2, &case.3));
    let ports = cases.each_ref().map(|(port, _)| *port);
    let _nginx = Nginx::start(&servers.collect::<String>(), &ports).await;
    for (port, (set_up, app, _, _, check, found, fix)) in &cases {
        let front = format!("http://127.0.0.1:{port}");
        let configured = if std::ptr::eq(*app, &raw const unaware) {
            &behind[..2]
        } else {
            &behind[..]
        };
        let flags = flags_of(&app.db.url, &[configured, &["--url", &front]].concat());
        Report::of(&flags).names(set_up, check, found, fix);
    }
}
