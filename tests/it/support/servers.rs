//! Servers of a test's own, to stop, freeze and restart, and a proxy to be cut off by.
//!
//! The servers that `scripts/test` starts are shared by all tests, so a test that disturbs one starts its own here.

use std::{
    io::ErrorKind,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

use crate::support::programs::Finish as _;
use crate::support::test_app::soon;

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What a server speaks, to tell when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Redis,
    Nats,
    Postgres,
    PgBouncer,
}

/// A server process, killed when this is dropped.
pub struct Server {
    speaks: Speaks,
    program: PathBuf,
    arguments: Vec<String>,
    pub port: u16,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    /// The folder, if it goes with the server.
    _own: Option<TempDir>,
    child: Option<Child>,
}

impl Server {
    /// A Redis with more arguments.
    pub async fn redis(arguments: &[&str]) -> Self {
        let mut server = Self::new(Speaks::Redis, "redis-server");
        let (port, folder) = (server.port.to_string(), server.path());
        server.arguments = strings(&["--port", &port, "--bind", "127.0.0.1", "--dir", &folder]);
        server
            .arguments
            .extend(strings(&["--save", "", "--appendonly", "no"]));
        server.arguments.extend(strings(arguments));
        server.start().await;
        server
    }

    /// A NATS server with more arguments.
    pub async fn nats(arguments: &[&str]) -> Self {
        let mut server = Self::new(Speaks::Nats, "nats-server");
        let port = server.port.to_string();
        server.arguments = strings(&["--addr", "127.0.0.1", "--port", &port]);
        server.arguments.extend(strings(arguments));
        server.start().await;
        server
    }

    /// A PostgreSQL whose superuser is `postgres` and trusted.
    pub async fn postgres() -> Self {
        Self::postgres_with(&[]).await
    }

    /// The same with settings of its own, each `name=value`.
    pub async fn postgres_with(settings: &[&str]) -> Self {
        let server = Self::new(Speaks::Postgres, "postgres");
        server.with_data(&[], settings).await
    }

    /// The same in a folder of the caller's, with more environment. Its write-ahead log comes in small files, so that a
    /// small disk holds it.
    pub async fn postgres_on(folder: &Path, environment: Vec<(&'static str, String)>) -> Self {
        let mut server = Self::new(Speaks::Postgres, "postgres");
        folder.clone_into(&mut server.folder);
        server.environment = environment;
        // The log of changes stays small beside the tables: PostgreSQL cannot recover where it has filled the disk.
        let settings = ["max_wal_size=24MB", "min_wal_size=4MB"];
        server.with_data(&["--wal-segsize=1"], &settings).await
    }

    async fn with_data(self, more: &[&str], settings: &[&str]) -> Self {
        let mut server = self;
        let bin = postgres_bin();
        let (folder, data) = (server.path(), server.folder.join("data"));
        let (port, data) = (server.port.to_string(), data.to_str().unwrap().to_owned());
        if is_root() {
            // PostgreSQL refuses to run as root.
            run(Command::new("chown").args(["postgres", &folder]));
        }
        let initdb = [
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ];
        let mut initdb_as = server.command(bin.join("initdb"));
        run(initdb_as
            .args(initdb)
            .args(more)
            .args(["--username=postgres", "--pgdata", &data]));
        server.program = bin.join("postgres");
        server.arguments = strings(&["-D", &data, "-p", &port, "-h", "127.0.0.1", "-k", &folder]);
        for setting in settings {
            server.arguments.extend(strings(&["-c", setting]));
        }
        server.start().await;
        server
    }

    /// A PostgreSQL that follows this one.
    pub async fn standby(&self) -> Self {
        let mut standby = Self::new(Speaks::Postgres, "postgres");
        let bin = postgres_bin();
        let (folder, data) = (standby.path(), standby.folder.join("data"));
        let (port, data) = (standby.port.to_string(), data.to_str().unwrap().to_owned());
        if is_root() {
            run(Command::new("chown").args(["postgres", &folder]));
        }
        let (host, of) = (["-h", "127.0.0.1", "-U", "postgres"], self.port.to_string());
        let mut copy = standby.command(bin.join("pg_basebackup"));
        run(copy
            .args(host)
            .args(["-p", &of, "-D", &data, "-R", "-X", "stream", "-c", "fast"])
            .arg("--no-sync"));
        standby.program = bin.join("postgres");
        standby.arguments = strings(&["-D", &data, "-p", &port, "-h", "127.0.0.1", "-k", &folder]);
        standby.start().await;
        standby
    }

    /// A PgBouncer in front of the PostgreSQL at `port`, with more settings.
    pub async fn pgbouncer(port: u16, settings: &[&str]) -> Self {
        let mut server = Self::new(Speaks::PgBouncer, &pgbouncer());
        let file = server.folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={port} user=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n{}\n",
            server.port,
            settings.join("\n")
        );
        std::fs::write(&file, text).unwrap();
        if is_root() {
            // PgBouncer refuses to run as root.
            run(Command::new("chown").args(["-R", "postgres", &server.path()]));
        }
        server.arguments = strings(&[file.to_str().unwrap()]);
        server.start().await;
        server
    }

    fn new(speaks: Speaks, program: &str) -> Self {
        let own = TempDir::with_prefix("library-sync-test-").unwrap();
        Self {
            speaks,
            program: program.into(),
            arguments: Vec::new(),
            port: free_port(),
            environment: Vec::new(),
            folder: own.path().to_owned(),
            _own: Some(own),
            child: None,
        }
    }

    fn path(&self) -> String {
        self.folder.to_str().unwrap().to_owned()
    }

    /// `program` in the server's folder, as a user that it accepts.
    fn command(&self, program: PathBuf) -> Command {
        let is_postgres = matches!(self.speaks, Speaks::Postgres | Speaks::PgBouncer);
        let mut command = if is_postgres && is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.url_at(self.port)
    }

    /// Its address as if it were at `port`, where a [`Proxy`] is.
    pub fn url_at(&self, port: u16) -> String {
        match self.speaks {
            Speaks::Redis => format!("redis://127.0.0.1:{port}"),
            Speaks::Nats => format!("nats://127.0.0.1:{port}"),
            Speaks::Postgres | Speaks::PgBouncer => {
                format!("postgres://postgres@127.0.0.1:{port}/postgres")
            }
        }
    }

    /// Starts it, where it was before, and waits until it is ready.
    pub async fn start(&mut self) {
        let mut command = self.command(self.program.clone());
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .process_group(0);
        self.child = Some(command.spawn().unwrap());
        soon("the server is ready", async {
            while !self.is_ready().await {
                if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                    // A PostgreSQL that was killed leaves processes that must be gone first.
                    assert!(
                        self.speaks == Speaks::Postgres,
                        "{}: {status}",
                        self.program.display()
                    );
                    self.child = Some(command.spawn().unwrap());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Starts it if it was killed.
    pub async fn start_if_killed(&mut self) {
        if self.child.is_none() {
            self.start().await;
        }
    }

    /// Starts it if it was killed, or ends by itself while it recovers from a crash, and waits until it is ready.
    pub async fn start_if_down(&mut self) {
        let has_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
        // Boxed, because it holds a connection's login.
        let recovers = Box::pin(async {
            loop {
                if self.child.as_mut().is_none_or(has_ended) {
                    self.start().await;
                }
                if self.is_ready().await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        soon("the server recovers", recovers).await;
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)).await else {
            return false;
        };
        let (question, answer): (&[u8], &[u8]) = match self.speaks {
            Speaks::Redis => (b"PING\r\n", b"+PONG"),
            Speaks::Nats => (b"", b"INFO"),
            // It accepts connections once it has read its settings.
            Speaks::PgBouncer => return true,
            Speaks::Postgres => return PgConnection::connect(&self.url()).await.is_ok(),
        };
        let mut heard = vec![0; answer.len()];
        socket.write_all(question).await.is_ok()
            && socket.read_exact(&mut heard).await.is_ok()
            && (heard == answer || heard == b"-NOAU")
    }

    /// Kills it, and everything of it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A frozen PostgreSQL is left by its processes only when they run again.
            signal("-CONT", &family(child.id()));
            signal("-KILL", &family(child.id()));
            let _ = child.wait();
        }
    }

    /// Stops its clock, if it runs: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            signal(name, &family(child.id()));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three Redis masters that share the slots.
pub struct RedisCluster {
    pub servers: Vec<Server>,
}

impl RedisCluster {
    /// A cluster that serves what it can when a part of it is down.
    pub async fn start() -> Self {
        Self::start_with(0).await
    }

    /// The same with so many replicas of each master, which follow the masters.
    pub async fn start_with(replicas: usize) -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            let bus = free_port().to_string();
            let settings = [
                ("--cluster-enabled", "yes"),
                ("--cluster-config-file", "nodes.conf"),
                ("--cluster-node-timeout", "2000"),
                ("--cluster-require-full-coverage", "no"),
                ("--cluster-port", &bus),
                ("--repl-diskless-sync-delay", "0"),
            ];
            let arguments: Vec<_> = settings
                .iter()
                .flat_map(|(name, value)| [*name, *value])
                .collect();
            servers.push(Server::redis(&arguments).await);
        }
        let cluster = Self { servers };
        let hosts = cluster
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port));
        let replicas = replicas.to_string();
        run(Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(hosts)
            .args(["--cluster-replicas", &replicas, "--cluster-yes"]));
        for server in &cluster.servers {
            // A replica that has not caught up would never be a master.
            let is_ready = || {
                redis_cli(server.port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && !redis_cli(server.port, &["INFO", "replication"])
                        .contains("link_status:down")
            };
            soon("the cluster is ready", async {
                while !is_ready() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
        cluster
    }

    /// Its address.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}

/// A master, a replica of it, and a Sentinel that makes the one the other when the master is gone.
pub struct RedisSentinel {
    pub master: Server,
    pub replica: Server,
    pub sentinel: Server,
}

impl RedisSentinel {
    pub async fn start() -> Self {
        let master = Server::redis(&[]).await;
        let port = master.port.to_string();
        let replica = Server::redis(&["--replicaof", "127.0.0.1", &port]).await;
        let mut sentinel = Server::new(Speaks::Redis, "redis-server");
        let settings = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
            sentinel.port,
            sentinel.path(),
        );
        let file = sentinel.folder.join("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        sentinel.arguments = strings(&[file.to_str().unwrap(), "--sentinel"]);
        sentinel.start().await;
        soon("the sentinel knows the replica", async {
            while !redis_cli(sentinel.port, &["SENTINEL", "REPLICAS", "main"])
                .contains("slave-priority")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        Self {
            master,
            replica,
            sentinel,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.sentinel.port)
    }
}

/// Asks a Redis.
pub fn redis_cli(port: u16, command: &[&str]) -> String {
    let mut redis_cli = Command::new("redis-cli");
    let output = redis_cli
        .args(["-p", &port.to_string()])
        .args(command)
        .finish();
    String::from_utf8(output.stdout).unwrap()
}

/// What a [`Proxy`] does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Passes everything on.
    Open,
    /// Passes nothing on, and keeps the connections.
    Silent,
    /// Ends connections, and accepts none.
    Cut,
}

/// What a [`Proxy`] does with its connections now.
#[derive(Debug, Clone, Copy)]
struct Doing {
    way: Way,
    /// The first so many connections are silent whatever the others are.
    lost: usize,
    /// The port that new connections lead to.
    to: u16,
}

impl Doing {
    fn with(self, connection: usize) -> Way {
        if connection <= self.lost && self.way == Way::Open {
            Way::Silent
        } else {
            self.way
        }
    }
}

/// A way to a server that can be closed.
pub struct Proxy {
    pub port: u16,
    doing: watch::Sender<Doing>,
    accepted: watch::Receiver<usize>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A way to `127.0.0.1:port`.
    pub async fn to(port: u16) -> Self {
        Self::at(("127.0.0.1", 0), port).await
    }

    /// A way from `here` to `127.0.0.1:port`.
    pub async fn at(here: (&str, u16), port: u16) -> Self {
        let listener = TcpListener::bind(here).await.unwrap();
        let (doing, watched) = watch::channel(Doing {
            way: Way::Open,
            lost: 0,
            to: port,
        });
        let (count, accepted) = watch::channel(0);
        let port_here = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                let connection = *count.borrow();
                let doing = watched.clone();
                tokio::spawn(async move {
                    if doing.borrow().with(connection) == Way::Cut {
                        return;
                    }
                    let to = doing.borrow().to;
                    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else {
                        return;
                    };
                    let (client, server) = (client.into_split(), server.into_split());
                    tokio::select! {
                        () = pass(client.0, server.1, doing.clone(), connection) => {}
                        () = pass(server.0, client.1, doing, connection) => {}
                    }
                });
            }
        });
        Self {
            port: port_here,
            doing,
            accepted,
            accepting: accepting.abort_handle(),
        }
    }

    /// How many connections were ever made to it.
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Waits until so many were.
    pub async fn until_accepted(&self, count: usize) {
        let mut accepted = self.accepted.clone();
        let reached = accepted.wait_for(|accepted| *accepted >= count);
        soon("another connection", reached).await.unwrap();
    }

    /// Ends all connections, and accepts none.
    pub async fn cut(&self) {
        self.go(Way::Cut);
        // Each connection holds a receiver, like the one that accepts.
        soon("connections are cut", async {
            while self.doing.receiver_count() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Ends all connections, and leads new ones to `127.0.0.1:port`.
    pub async fn lead_to(&self, port: u16) {
        self.cut().await;
        self.doing.send_modify(|doing| doing.to = port);
        self.mend();
    }

    /// Passes nothing on, as if the cable were pulled.
    pub fn silence(&self) {
        self.go(Way::Silent);
    }

    /// Passes everything on again.
    pub fn mend(&self) {
        self.go(Way::Open);
    }

    /// Passes on what comes by new connections; those that there are stay silent for ever.
    pub fn mend_for_new_connections(&self) {
        let lost = self.accepted();
        self.doing.send_modify(|doing| doing.lost = lost);
        self.mend();
    }

    fn go(&self, way: Way) {
        self.doing.send_modify(|doing| doing.way = way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.go(Way::Cut);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut doing: watch::Receiver<Doing>,
    connection: usize,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = doing.wait_for(|doing| doing.with(connection) == Way::Cut) => return,
        };
        // What was read while it is silent is passed on later, as a network would that repeats itself.
        let loud = doing.wait_for(|doing| doing.with(connection) != Way::Silent);
        match loud.await.as_deref().map(|doing| doing.with(connection)) {
            Ok(Way::Open) => {}
            _ => return,
        }
        match read {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                if to.write_all(&bytes[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn run(command: &mut Command) {
    let output = command.finish();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

/// Where PostgreSQL's programs are: the newest of Debian's, or on the path.
fn postgres_bin() -> PathBuf {
    let mut versions: Vec<_> = match std::fs::read_dir("/usr/lib/postgresql") {
        Ok(folders) => folders.map(|folder| folder.unwrap().path()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => return PathBuf::new(),
        Err(error) => panic!("{error}"),
    };
    versions.sort();
    versions.pop().unwrap().join("bin")
}

/// Kills a child that leads a process group, and the group with it.
pub fn kill_group(child: &mut Child) {
    signal("-KILL", &["--".to_owned(), format!("-{}", child.id())]);
    let _ = child.wait();
}

/// A process and its children.
fn family(pid: u32) -> Vec<String> {
    let pid = pid.to_string();
    let output = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &pid])
        .output()
        .unwrap();
    let children = String::from_utf8(output.stdout).unwrap();
    // The parent first, so that it makes no more.
    let children = children.split_whitespace().map(str::to_owned);
    std::iter::once(pid).chain(children).collect()
}

fn signal(signal: &str, pids: &[String]) {
    // A child may have gone of itself.
    let _ = Command::new("kill")
        .arg(signal)
        .args(pids)
        .stderr(Stdio::null())
        .status();
}

/// The program of PgBouncer: the one that `LIBRARY_SYNC_TEST_PGBOUNCER` names, or the system's.
pub fn pgbouncer() -> String {
    std::env::var("LIBRARY_SYNC_TEST_PGBOUNCER").unwrap_or_else(|_| "pgbouncer".to_owned())
}
