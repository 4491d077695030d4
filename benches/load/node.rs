//! The program under load.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use time::OffsetDateTime;
use tokio::net::TcpStream;

use crate::{
    http::{Connection, rate},
    support::{deadline::soon, servers::free_port},
};

pub const SECRET: &str = "a secret of at least thirty-two bytes, for loads alone";

/// A node, killed when this is dropped.
pub struct Node {
    command: Command,
    child: Child,
    pub port: u16,
}

impl Node {
    /// Starts `program` on a database, without rate limits, and waits until it is ready.
    pub async fn start(program: &Path, database: &str, connections: usize) -> Self {
        Self::start_with(program, database, connections, &[]).await
    }

    /// Like [`Self::start`], with more arguments.
    pub async fn start_with(
        program: &Path,
        database: &str,
        connections: usize,
        more: &[&str],
    ) -> Self {
        let port = free_port();
        let connections = (connections + 100).to_string();
        let mut command = Command::new(program);
        command
            .args(["serve", "--database-url", database])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--jwt-secret", SECRET])
            .args(["--max-user-rate", "0", "--max-address-rate", "0"])
            .args(["--max-connections", &connections])
            .args(["--max-connections-per-address", &connections])
            .args(["--max-streams", &connections, "--log", "warn"])
            .args(more)
            .stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let node = Self {
            command,
            child,
            port,
        };
        node.until_ready().await;
        node
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again with the same arguments, and waits until it accepts connections.
    pub async fn restart(&mut self) {
        self.child = self.command.spawn().unwrap();
        self.until_ready().await;
    }

    async fn until_ready(&self) {
        until_accepts("the program", self.port).await;
    }

    /// The statements that the node has sent.
    pub async fn statements(&self) -> u64 {
        self.counter("library_sync_db_statements_total{outcome=\"ok\"}")
            .await
    }

    /// A counter of the node, by its name with labels.
    pub async fn counter(&self, name: &str) -> u64 {
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let metrics = Connection::open(self.port).await.ask(request).await;
        let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let count = lines.find(|(counter, _)| *counter == name);
        count.map_or(0, |(_, count)| count.parse().unwrap())
    }

    /// Sends requests, as [`rate`] does. Returns the responses per second, and the statements of each.
    pub async fn load(
        &self,
        connections: usize,
        duration: Duration,
        request: impl Fn(usize, usize) -> String + Clone + Send + 'static,
    ) -> (f64, f64) {
        let before = self.statements().await;
        let rate = rate(self.port, connections, duration, request).await;
        let statements = self.statements().await - before;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let each = statements as f64 / (rate * duration.as_secs_f64());
        (rate, each)
    }

    /// The CPU time that the process has used.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.child.id())
    }

    /// The memory of the process in KiB.
    pub fn memory(&self) -> u64 {
        memory(self.child.id())
    }

    /// The number of files and sockets that the process has open.
    pub fn open_files(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.unwrap().count()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a server accepts connections.
pub async fn until_accepts(server: &str, port: u16) {
    soon(&format!("{server} accepts connections"), async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The memory of a process in KiB: its proportional set size.
pub fn memory(process: u32) -> u64 {
    let path = format!("/proc/{process}/smaps_rollup");
    let memory = std::fs::read_to_string(path).unwrap();
    let size = memory.lines().find_map(|line| line.strip_prefix("Pss:"));
    let size = size.unwrap().trim().trim_end_matches(" kB");
    size.parse().unwrap()
}

/// The growth of memory for each of `count`, in KiB.
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub fn memory_each(now: u64, before: u64, count: usize) -> f64 {
    (now as f64 - before as f64) / count as f64
}

/// The child processes of a process.
pub fn children(process: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(process)).collect()
}

/// The CPU time that a process and its ended child processes have used. Linux counts it in steps of 10 ms. Zero if the
/// process has ended.
pub fn cpu_time(process: u32) -> Duration {
    let fields = stat(process);
    let ticks = fields.iter().skip(11).take(4);
    Duration::from_millis(10)
        * ticks
            .map(|ticks| ticks.parse::<u32>().unwrap())
            .sum::<u32>()
}

/// The parent of a process, unless it has ended.
pub fn parent(process: u32) -> Option<u32> {
    stat(process).get(1).map(|id| id.parse().unwrap())
}

/// What `/proc/…/stat` says after the name of the program, which stands in brackets.
fn stat(process: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}

/// The name of a user.
pub fn user(number: usize) -> String {
    format!("user-{number}")
}

/// A token of a user.
pub fn token(number: usize) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({"sub": user(number), "iat": now, "exp": now + 86_400});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    encode(&Header::default(), &claims, &key).unwrap()
}
