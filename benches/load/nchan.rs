//! The yardstick of streams: nginx with the module nchan, which publishes messages to subscribers.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    event_stream::{EventStream, open_all},
    http::Connection,
    node::memory_each,
    support::servers::free_port,
    yardsticks::Yardstick,
};

/// Where Debian installs the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const PROGRAM: &str = "/usr/sbin/nginx";

/// The request of a subscriber, which first gets the newest message, as a stream first gets the version.
const SUBSCRIBE: &str =
    "GET /subscribe HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";

/// What to do so that nchan can be started, unless it can.
pub fn missing() -> Option<String> {
    let files = [(PROGRAM, "nginx-light"), (MODULE, "libnginx-mod-nchan")];
    let (path, package) = files.iter().find(|(path, _)| !Path::new(path).exists())?;
    Some(format!(
        "{path} is missing: install Debian's package {package}"
    ))
}

/// An nginx with one channel, killed when this is dropped.
pub struct Nchan {
    server: Yardstick,
    // Deleted after the process has ended.
    _folder: TempDir,
}

impl Nchan {
    /// Starts it with one worker for each core, for this many subscribers, and waits until it accepts connections.
    pub async fn start(subscribers: usize) -> Self {
        let folder = TempDir::with_prefix("library-sync-load-").unwrap();
        let (port, here) = (free_port(), folder.path().display());
        let connections = subscribers + 200;
        let settings = format!(
            "load_module {MODULE};\npid {here}/pid;\nuser root;\nworker_processes auto;\n\
             worker_rlimit_nofile {};\nevents {{ worker_connections {connections}; }}\n\
             http {{\naccess_log off;\nclient_body_temp_path {here};\nproxy_temp_path {here};\n\
             fastcgi_temp_path {here};\nuwsgi_temp_path {here};\nscgi_temp_path {here};\n\
             server {{ listen 127.0.0.1:{port} backlog=4096;\n\
             location /subscribe {{ nchan_subscriber eventsource; nchan_channel_id versions; \
             nchan_subscriber_first_message -1; }}\n\
             location /publish {{ nchan_publisher; nchan_channel_id versions; nchan_message_buffer_length 1; }}\n}}\n}}\n",
            rlimit::Resource::NOFILE.get_soft().unwrap(),
        );
        let file = folder.path().join("settings");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .arg("-c")
            .arg(&file)
            .args(["-g", "daemon off; error_log stderr;"]);
        Self {
            server: Yardstick::start(command, port).await,
            _folder: folder,
        }
    }

    /// Starts it with open subscribers, which have version 1. Returns them, and the memory of each in KiB.
    pub async fn with_subscribers(count: usize) -> (Self, Vec<EventStream>, f64) {
        let nchan = Self::start(count).await;
        let port = nchan.port();
        Self::publish(&mut Connection::open(port).await, 1).await;
        drop(EventStream::open_at(0, port, SUBSCRIBE).await);
        let before = nchan.server.memory();
        let opened = open_all(count, |number| {
            EventStream::open_at(number, port, SUBSCRIBE)
        })
        .await;
        let each = memory_each(nchan.server.memory(), before, count);
        let (streams, versions): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        assert!(versions.iter().all(|version| *version == 1));
        (nchan, streams, each)
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Publishes a version in the form of the server's events.
    pub async fn publish(publisher: &mut Connection, version: i64) {
        let event = format!(
            "{{\"type\":\"library_version_update\",\"timestamp\":1763809200000,\"version\":{version}}}"
        );
        let request = format!(
            "POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{event}",
            event.len()
        );
        publisher.ask(&request).await;
    }
}
