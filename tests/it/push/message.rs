//! Independent programs open the messages of the server.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    push::fake_push_service::{FakePushService, change, register, start},
    support::programs::finished,
    support::test_app::{DEADLINE, Db, TestDatabase},
};

fn variable(name: &str) -> PathBuf {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name}: run the tests by scripts/test"))
        .into()
}

/// Runs a program with this input, and returns its output.
fn run(program: PathBuf, script: &str, input: &Value) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg(script)
        .current_dir(variable("LIBRARY_SYNC_TEST_CLIENTS"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = finished(child, DEADLINE).expect(script);
    assert!(output.status.success(), "{script}");
    output.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_independent_decryptors_open_what_the_server_sends() {
    let service = FakePushService::start().await;
    let app = start(TestDatabase::new(Db::Sqlite).await, &service, &[]).await;
    let ann = app.user("ann");
    let phone = service.subscribe("phone");
    register(&ann, &phone, "EVERY_CHANGE").await;
    change(&ann, "laptop", "a").await;
    let message = service.until("phone", 1).await.remove(0);
    let input = json!({
        "message": BASE64_URL_SAFE_NO_PAD.encode(&message.body),
        "privateKey": phone.private,
        "publicKey": phone.p256dh,
        "auth": phone.auth,
    });
    for (program, script) in [
        ("node".into(), "decrypt.mjs"),
        (variable("LIBRARY_SYNC_TEST_PYTHON"), "decrypt.py"),
    ] {
        let payload = run(program, script, &input);
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload, message.payload, "{script}");
    }
    assert_eq!(message.version(), 2);
}
