//! No command shows a secret, whatever is wrong with it and however much is logged.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use clap::CommandFactory as _;
use library_sync::config::Cli;
use percent_encoding::percent_decode;

use crate::{
    support::programs::Finish as _,
    support::servers::free_port,
    support::test_app::{DEADLINE, SECRET, program},
};

/// What must never be shown, and a form that decodes to it.
const MARK: &str = "Hush7Secret";
const ENCODED: &str = "%48ush7Secret";

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Values of a secret setting that a command fails at.
fn wrong_values(setting: &str) -> Vec<String> {
    let values: &[&str] = match setting {
        "database_url" | "read_database_url" => &[
            "postgres://ann:MARK@127.0.0.1:1/db",
            "postgres://ann:MARK#x@127.0.0.1:1/db",
            "postgres://ann:ENCODED@/db?host=/nowhere",
            "postgres://ann:MARK/x@127.0.0.1:1/db",
            "postgres://ann:12/MARK@127.0.0.1:1/db",
            "postgres://ann:12?MARK@127.0.0.1:1/db",
            "postgres://ann:x@MARK@127.0.0.1:1/db?schema=MARK",
            "postgres://127.0.0.1:1/db?user=ann&password=ENCODED",
            "postgres://ann:MARK@127.0.0.1:port/db",
            "postgres://ann:MARK@127.0.0.1:1/db?sslmode=MARK",
            "postgres://ann:MARK@127.0.0.1:1,127.0.0.1:2/db",
            "mysql://ann:MARK@127.0.0.1/db",
            "sqlite://missing.db?key=MARK",
            "MARK",
        ],
        "broker_url" => &[
            "redis://ann:MARK#x@127.0.0.1",
            "redis://ann:12/MARK@127.0.0.1",
            "redis://ann:MARK@127.0.0.1:port",
            "redis://ann:ENCODED@127.0.0.1/MARK",
            "redis://ann:ENCODED@127.0.0.1?nosuch=MARK",
            "redis+sentinel://127.0.0.1?sentinel_password=MARK",
            "redis+cluster://ann:MARK@127.0.0.1,,x",
            "nats://MARK@a b",
            "nats://ann:12?MARK@127.0.0.1",
            "postgres://ann:MARK@127.0.0.1:port/db",
            "amqp://ann:MARK@127.0.0.1",
            "MARK",
        ],
        "jwt_secret" | "token" | "admin_token" => &["MARK", "-MARK"],
        // Any text is a valid secret, so the run fails at its database.
        "authjs_secret" | "authjs_secret_1" | "authjs_secret_2" | "authjs_secret_3" => {
            &["MARK", "-MARK"]
        }
        "jwt_public_key" | "vapid_key" => &[
            "MARK",
            "-----BEGIN PRIVATE KEY-----\nMARK\n-----END PRIVATE KEY-----\n",
        ],
        "webhook" => &["MARK", "http://ann:MARK@", "ftp://ann:MARK@example.org/"],
        "webhook_secret" => &["MARK", "whsec_MARK"],
        "otlp_endpoint" => &["MARK", "ftp://ann:MARK@127.0.0.1/"],
        "jwks_url" => &[
            "MARK",
            "http://ann:MARK@127.0.0.1/",
            "http://example.org/?token=MARK",
        ],
        _ => panic!("`{setting}` hides its value: say here which values are wrong"),
    };
    let filled = values.iter().map(|value| value.replace("MARK", MARK));
    filled
        .map(|value| value.replace("ENCODED", ENCODED))
        .collect()
}

/// What a command needs beside the setting, so that it fails at that.
fn others(command: &str, setting: &str) -> Vec<&'static str> {
    let is_server = ["serve", "doctor"].contains(&command);
    let mut others = match command {
        "serve" | "doctor" => vec![
            "--database-url",
            "sqlite://there.db?mode=rwc",
            "--listen",
            "127.0.0.1:0",
        ],
        "import" => vec!["--sub", "ann", "there.csv"],
        "export" | "token" | "why" => vec!["--sub", "ann"],
        "erase" => vec!["--sub", "ann", "--confirm", "ann"],
        "backup" | "restore" => vec!["there.csv.new"],
        "adopt" | "canary" | "epoch new" | "migrate up" | "migrate down" | "migrate status" => {
            vec![]
        }
        _ => panic!("`{command}` takes a secret: say here how it is run"),
    };
    match setting {
        "database_url" if is_server => {
            others.splice(..2, ["--jwt-secret", SECRET]);
        }
        "read_database_url" if !is_server => {
            others.extend(["--database-url", "sqlite://there.db?mode=rw"]);
        }
        _ if setting.starts_with("authjs_secret") => {
            others.splice(..2, ["--database-url", "sqlite://missing.db"]);
        }
        "read_database_url" | "broker_url" | "otlp_endpoint" | "admin_token" => {
            others.extend(["--jwt-secret", SECRET]);
        }
        "token" => others.extend(["--url", "http://127.0.0.1:1"]),
        "vapid_key" => {
            others.extend(["--jwt-secret", SECRET]);
            others.extend(["--vapid-subject", "mailto:ops@example.org"]);
        }
        "webhook" => {
            others.extend(["--jwt-secret", SECRET]);
            others.extend(["--webhook-secret", WEBHOOK_SECRET]);
        }
        "webhook_secret" => {
            others.extend(["--jwt-secret", SECRET]);
            others.extend(["--webhook", "https://example.org/changed"]);
        }
        _ => {}
    }
    others
}

/// A run of the program: the command, the setting and its value, by its flag or by its variable.
struct Run {
    command: String,
    setting: String,
    flag: String,
    variable: String,
    value: String,
    by_flag: bool,
}

/// Every run that must fail, from what the command line defines.
fn runs() -> Vec<Run> {
    let mut runs = Vec::new();
    let mut commands: Vec<_> = Cli::command()
        .get_subcommands()
        .map(|command| (command.get_name().to_owned(), command.clone()))
        .collect();
    while let Some((name, command)) = commands.pop() {
        commands.extend(
            command
                .get_subcommands()
                .map(|inner| (format!("{name} {}", inner.get_name()), inner.clone())),
        );
        for argument in command.get_arguments() {
            let names = argument.get_value_names().unwrap_or_default();
            let is_secret = names.iter().any(|name| {
                ["URL", "SECRET", "PEM", "TOKEN", "KEY"]
                    .iter()
                    .any(|kind| name.contains(kind))
            });
            let id = argument.get_id().as_str();
            assert_eq!(
                is_secret,
                argument.is_hide_env_values_set(),
                "`{id}` of `{name}` may hold a secret, or hides what is none"
            );
            if !is_secret {
                continue;
            }
            let mut values = wrong_values(id);
            if name != "serve" {
                // All commands read addresses alike.
                values.truncate(3);
            }
            for (n, value) in values.into_iter().enumerate() {
                runs.push(Run {
                    command: name.clone(),
                    setting: id.to_owned(),
                    flag: argument.get_long().unwrap().to_owned(),
                    variable: argument.get_env().unwrap().to_str().unwrap().to_owned(),
                    value,
                    by_flag: n % 2 == 1,
                });
            }
        }
    }
    runs
}

fn assert_hidden(what: &str, output: &[u8]) {
    let text = String::from_utf8_lossy(output);
    let decoded = percent_decode(output).decode_utf8_lossy();
    assert!(
        !text.contains(MARK) && !decoded.contains(MARK),
        "{what}:\n{text}"
    );
}

impl Run {
    fn check(&self, folder: &Path) {
        let mut command = program();
        command.current_dir(folder).stdin(Stdio::null());
        command
            .args(self.command.split(' '))
            .args(["--log", "trace"]);
        command.args(others(&self.command, &self.setting));
        if self.by_flag {
            command.arg(format!("--{}={}", self.flag, self.value));
        } else {
            command.env(&self.variable, &self.value);
        }
        let output = command.finish();
        let what = format!("{} with {} = {}", self.command, self.setting, self.value);
        assert_hidden(&what, &[&*output.stdout, &*output.stderr].concat());
        let is_replica = self.setting == "read_database_url";
        assert!(is_replica || !output.status.success(), "{what} fails");
    }
}

#[test]
fn no_command_shows_a_secret_that_it_cannot_use() {
    let folder = tempfile::TempDir::new().unwrap();
    let there = [
        "migrate",
        "up",
        "--database-url",
        "sqlite://there.db?mode=rwc",
    ];
    let made = program().current_dir(&folder).args(there).finish();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(folder.path().join("there.csv"), "title,url\n").unwrap();

    let mut runs = runs();
    // A server whose replica does not answer runs on.
    runs.retain(|run| run.command != "serve" || run.setting != "read_database_url");
    let settings: BTreeSet<_> = runs.iter().map(|run| run.setting.clone()).collect();
    assert!(settings.len() >= 5, "{settings:?}");
    let runs = Mutex::new(runs);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(run) = { runs.lock().unwrap().pop() } {
                    run.check(folder.path());
                }
            });
        }
    });
}

/// Runs `command` until a line of its log holds `until`, and returns all lines up to that.
async fn log_until(mut command: Command, until: &'static str) -> String {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        for line in log.lines().map_while(Result::ok) {
            said.push_str(&line);
            said.push('\n');
            if line.contains(until) {
                break;
            }
        }
        let _ = tell.send(said);
    });
    let said = tokio::time::timeout(DEADLINE, told).await;
    let _ = child.kill();
    let _ = child.wait();
    let said = said.unwrap_or_else(|_| panic!("no line with `{until}`"));
    let said = said.unwrap();
    assert!(said.contains(until), "the log ended:\n{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_broker_or_replica_refuses_it_logs_no_secret() {
    let redis = std::env::var("LIBRARY_SYNC_TEST_REDIS").unwrap();
    let redis = redis.strip_prefix("redis://").unwrap().to_owned();
    let closed = format!("127.0.0.1:{}", free_port());
    let broker = |url: String| ("--broker-url", url, "WARN library_sync::broker");
    let checks = [
        broker(format!("redis://ann:{ENCODED}@{redis}")),
        broker(format!("redis+cluster://ann:{MARK}@{closed},{closed}")),
        broker(format!(
            "redis+sentinel://{closed}/main?sentinel_user=ann&sentinel_password={MARK}"
        )),
        broker(format!("nats://ann:{ENCODED}@{closed}")),
        broker(format!("postgres://ann:{MARK}@{closed}/db")),
        (
            "--read-database-url",
            format!("postgres://ann:{ENCODED}@{closed}/db"),
            "the replica cannot be used",
        ),
    ];
    let checks = checks.map(async |(flag, url, until)| {
        let folder = tempfile::TempDir::new().unwrap();
        let mut command = program();
        command
            .current_dir(&folder)
            .args([
                "serve",
                "--log",
                "trace",
                "--log-format",
                "text",
                "--listen",
                "127.0.0.1:0",
            ])
            .args([
                "--jwt-secret",
                SECRET,
                "--database-url",
                "sqlite://a.db?mode=rwc",
            ])
            .args([flag, &url]);
        let said = log_until(command, until).await;
        assert_hidden(&url, said.as_bytes());
    });
    futures_util::future::join_all(checks).await;
}
