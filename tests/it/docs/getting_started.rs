//! The commands of docs/getting-started.md, as they are printed: a server, a stream and a change.

use std::process::{Child, Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    support::{
        printed::blocks,
        programs::Finish as _,
        servers::free_port,
        test_app::{program, soon},
    },
    transports::clients::Client,
};

/// The server, which is killed when this is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_to_get_started_watch_and_change_a_library() {
    let folder = TempDir::with_prefix("library-sync-test-").unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let here = |block: &str| {
        let database = format!("sqlite://{}/library.db?mode=rwc", folder.path().display());
        let program = program();
        block
            .replace("postgres://user:password@localhost/library", &database)
            .replace("127.0.0.1:4000", &address)
            .replace("cargo run --", program.get_program().to_str().unwrap())
    };
    let blocks = blocks("docs/getting-started.md", "sh");
    let [_build, serve, watch, change] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    let (settings, _) = serve.split_once("cargo run").unwrap();
    assert!(settings.contains("openssl rand"), "{settings}");
    // All terminals share the exported secret.
    let secret = "export LIBRARY_SYNC_JWT_SECRET=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let in_terminal = |block: &str| {
        let listen = format!("export LIBRARY_SYNC_LISTEN={address}");
        format!(
            "set -eu\n{}{listen}\n{secret}\n{}",
            here(settings),
            here(block)
        )
    };
    let (_, serve) = serve.split_at(settings.len());
    let serve = in_terminal(serve).replace("\n/", "\nexec /");
    let _server = Served(Command::new("bash").args(["-c", &serve]).spawn().unwrap());
    let served = soon("the server responds", async {
        while reqwest::get(format!("http://{address}/readyz"))
            .await
            .is_err()
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    served.await;

    let mut stream = Client::run_by("bash".into(), "the stream", &["-c", &in_terminal(watch)]);
    until(&mut stream, r#""type":"connected""#).await;
    let change = Command::new("bash")
        .args(["-c", &in_terminal(change)])
        .finish();
    let change = String::from_utf8(change.stdout).unwrap();
    assert!(
        change.contains(r#""libraryVersion":2,"refusal":null"#),
        "{change}"
    );
    until(&mut stream, r#""type":"library_version_update""#).await;
}

/// Waits for a line that contains `text`.
async fn until(client: &mut Client, text: &str) {
    loop {
        if let Value::String(line) = client.next().await
            && line.contains(text)
        {
            return;
        }
    }
}
