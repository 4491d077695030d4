//! Servers that version checks are compared with: a static route of axum, and graphql-yoga.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use axum::{Router, routing};
use tokio::net::TcpListener;

use crate::{
    node::{SECRET, children, memory, until_accepts},
    support::{
        programs::Finish as _,
        servers::{free_port, kill_process_group},
    },
};

/// The folder of the program for Node, with the versions of its packages.
const YOGA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/yoga");

/// A server that is killed, with its child processes, when this is dropped.
pub struct Yardstick {
    child: Child,
    pub port: u16,
}

impl Yardstick {
    /// A route of axum that always answers with the same bytes, in a process of its own.
    pub async fn static_route() -> Self {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["static-route", &port.to_string()]);
        Self::start(command, port).await
    }

    /// graphql-yoga, which reads the versions from the database at `url`.
    pub async fn yoga(url: &str) -> Self {
        let port = free_port();
        let mut command = Command::new("node");
        command
            .args(["server.mjs", &port.to_string(), url, SECRET])
            .env("NODE_ENV", "production")
            .current_dir(YOGA);
        Self::start(command, port).await
    }

    /// Runs a command that serves at `port`, and waits until it accepts connections.
    pub async fn start(mut command: Command, port: u16) -> Self {
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, port };
        until_accepts("the yardstick", port).await;
        server
    }

    /// The memory of all its processes in KiB.
    pub fn memory(&self) -> u64 {
        let id = self.child.id();
        children(id).into_iter().map(memory).sum::<u64>() + memory(id)
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        kill_process_group(&mut self.child);
    }
}

/// Installs the packages of graphql-yoga, unless they are.
pub fn install_yoga() {
    if Path::new(YOGA).join("node_modules/graphql-yoga").exists() {
        return;
    }
    let mut install = Command::new("npm");
    install
        .args(["ci", "--no-audit", "--no-fund"])
        .current_dir(YOGA);
    let installed = install.finish();
    assert!(installed.status.success(), "{install:?}: {installed:?}");
}

/// Serves the static route until the process is killed.
pub async fn serve_static(port: u16) {
    let answer = || async { "{\"data\":{\"libraryVersion\":1}}" };
    let routes = Router::new().route("/", routing::get(answer));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, routes).await.unwrap();
}
