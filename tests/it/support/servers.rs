//! Dedicated PostgreSQL, Redis and NATS servers to kill, freeze and restart, and a fault-injecting proxy.
//!
//! All tests share the servers that `scripts/test` starts, so a test that disturbs one starts its own here.

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

use crate::support::{deadline::soon, programs::Finish as _};

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The kind of a server, which decides its readiness check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerKind {
    Redis,
    Nats,
    Postgres,
    PgBouncer,
}

/// A server process, killed when this is dropped.
pub struct Server {
    kind: ServerKind,
    program: PathBuf,
    arguments: Vec<String>,
    pub port: u16,
    environment: Vec<(&'static str, String)>,
    folder: PathBuf,
    /// The folder, if it is deleted with the server.
    _own: Option<TempDir>,
    child: Option<Child>,
}

impl Server {
    /// A Redis with more arguments.
    pub async fn redis(arguments: &[&str]) -> Self {
        let mut server = Self::new(ServerKind::Redis, "redis-server");
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
        let mut server = Self::new(ServerKind::Nats, "nats-server");
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

    /// Like [`Self::postgres`], with more settings, each `name=value`.
    pub async fn postgres_with(settings: &[&str]) -> Self {
        let server = Self::new(ServerKind::Postgres, "postgres");
        server.with_data(&[], settings).await
    }

    /// Like [`Self::postgres`], in the caller's folder and with more environment. Write-ahead log segments are small, so that a
    /// small disk holds it.
    pub async fn postgres_on(folder: &Path, environment: Vec<(&'static str, String)>) -> Self {
        let mut server = Self::new(ServerKind::Postgres, "postgres");
        folder.clone_into(&mut server.folder);
        server.environment = environment;
        // A small write-ahead log: PostgreSQL cannot recover after the log filled the disk.
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

    /// A hot standby of this PostgreSQL.
    pub async fn standby(&self) -> Self {
        let mut standby = Self::new(ServerKind::Postgres, "postgres");
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
        let mut server = Self::new(ServerKind::PgBouncer, &pgbouncer());
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

    fn new(kind: ServerKind, program: &str) -> Self {
        let own = TempDir::with_prefix("library-sync-test-").unwrap();
        Self {
            kind,
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

    /// `program` in the server's folder, as a user that may run it.
    fn command(&self, program: PathBuf) -> Command {
        let is_postgres = matches!(self.kind, ServerKind::Postgres | ServerKind::PgBouncer);
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

    /// Its address at another port, such as a [`Proxy`]'s.
    pub fn url_at(&self, port: u16) -> String {
        match self.kind {
            ServerKind::Redis => format!("redis://127.0.0.1:{port}"),
            ServerKind::Nats => format!("nats://127.0.0.1:{port}"),
            ServerKind::Postgres | ServerKind::PgBouncer => {
                format!("postgres://postgres@127.0.0.1:{port}/postgres")
            }
        }
    }

    /// Starts it on its port, and waits until it is ready.
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
                    // Child processes of a killed PostgreSQL must exit before it can start again.
                    assert!(
                        self.kind == ServerKind::Postgres,
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

    /// Starts it if it was killed or exits during crash recovery, and waits until it is ready.
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
        let (request, response): (&[u8], &[u8]) = match self.kind {
            ServerKind::Redis => (b"PING\r\n", b"+PONG"),
            ServerKind::Nats => (b"", b"INFO"),
            // It accepts connections once it has read its settings.
            ServerKind::PgBouncer => return true,
            ServerKind::Postgres => return PgConnection::connect(&self.url()).await.is_ok(),
        };
        let mut received = vec![0; response.len()];
        socket.write_all(request).await.is_ok()
            && socket.read_exact(&mut received).await.is_ok()
            && (received == response || received == b"-NOAU")
    }

    /// Kills it and its child processes.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The processes of a frozen PostgreSQL exit only after SIGCONT.
            signal("-CONT", &process_tree(child.id()));
            signal("-KILL", &process_tree(child.id()));
            let _ = child.wait();
        }
    }

    /// Sends SIGSTOP: it keeps its connections but does not respond.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Sends SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            signal(name, &process_tree(child.id()));
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
    /// A cluster that serves the remaining slots while a master is down.
    pub async fn start() -> Self {
        Self::start_with(0).await
    }

    /// Like [`Self::start`], with this number of replicas per master.
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
            // A replica that has not synchronized is not promoted.
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

/// A master, a replica, and a Sentinel that promotes the replica when the master is down.
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
        let mut sentinel = Server::new(ServerKind::Redis, "redis-server");
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

/// Runs a command on the Redis at `port`.
pub fn redis_cli(port: u16, command: &[&str]) -> String {
    let mut redis_cli = Command::new("redis-cli");
    let output = redis_cli
        .args(["-p", &port.to_string()])
        .args(command)
        .finish();
    String::from_utf8(output.stdout).unwrap()
}

/// How a [`Proxy`] treats a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyMode {
    /// Forwards data.
    Forward,
    /// Keeps connections open but forwards nothing.
    Partition,
    /// Closes connections, also new ones.
    Disconnect,
}

/// The current state of a [`Proxy`].
#[derive(Debug, Clone, Copy)]
struct ProxyState {
    mode: ProxyMode,
    /// The first connections, in this number, stay partitioned.
    partitioned: usize,
    /// The port to which new connections are forwarded.
    target: u16,
}

impl ProxyState {
    fn mode_of(self, connection: usize) -> ProxyMode {
        if connection <= self.partitioned && self.mode == ProxyMode::Forward {
            ProxyMode::Partition
        } else {
            self.mode
        }
    }
}

/// A TCP proxy that injects network faults.
pub struct Proxy {
    pub port: u16,
    state: watch::Sender<ProxyState>,
    accepted: watch::Receiver<usize>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A proxy to `127.0.0.1:port`.
    pub async fn to(port: u16) -> Self {
        Self::at(("127.0.0.1", 0), port).await
    }

    /// A proxy from `listen` to `127.0.0.1:port`.
    pub async fn at(listen: (&str, u16), port: u16) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let (state, watched) = watch::channel(ProxyState {
            mode: ProxyMode::Forward,
            partitioned: 0,
            target: port,
        });
        let (count, accepted) = watch::channel(0);
        let port_here = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                let connection = *count.borrow();
                let state = watched.clone();
                tokio::spawn(async move {
                    if state.borrow().mode_of(connection) == ProxyMode::Disconnect {
                        return;
                    }
                    let target = state.borrow().target;
                    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
                        return;
                    };
                    let (client, server) = (client.into_split(), server.into_split());
                    tokio::select! {
                        () = forward(client.0, server.1, state.clone(), connection) => {}
                        () = forward(server.0, client.1, state, connection) => {}
                    }
                });
            }
        });
        Self {
            port: port_here,
            state,
            accepted,
            accepting: accepting.abort_handle(),
        }
    }

    /// The number of connections accepted so far.
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Waits until `count` connections were accepted.
    pub async fn until_accepted(&self, count: usize) {
        let mut accepted = self.accepted.clone();
        let reached = accepted.wait_for(|accepted| *accepted >= count);
        soon("another connection", reached).await.unwrap();
    }

    /// Closes all connections, also new ones.
    pub async fn disconnect(&self) {
        self.set_mode(ProxyMode::Disconnect);
        // Each connection holds a receiver, and so does the accept loop.
        soon("connections are closed", async {
            while self.state.receiver_count() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Closes all connections, and forwards new ones to `127.0.0.1:port`.
    pub async fn redirect_to(&self, port: u16) {
        self.disconnect().await;
        self.state.send_modify(|state| state.target = port);
        self.heal();
    }

    /// Forwards nothing and keeps connections open, like a network partition.
    pub fn partition(&self) {
        self.set_mode(ProxyMode::Partition);
    }

    /// Forwards everything again.
    pub fn heal(&self) {
        self.set_mode(ProxyMode::Forward);
    }

    /// Forwards new connections only. Existing connections stay partitioned.
    pub fn heal_new_connections(&self) {
        let partitioned = self.accepted();
        self.state
            .send_modify(|state| state.partitioned = partitioned);
        self.heal();
    }

    fn set_mode(&self, mode: ProxyMode) {
        self.state.send_modify(|state| state.mode = mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set_mode(ProxyMode::Disconnect);
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<ProxyState>,
    connection: usize,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut bytes) => read,
            _ = state.wait_for(|state| state.mode_of(connection) == ProxyMode::Disconnect) => return,
        };
        // Data read during a partition is forwarded later, as TCP retransmits it.
        let unpartitioned =
            state.wait_for(|state| state.mode_of(connection) != ProxyMode::Partition);
        match unpartitioned
            .await
            .as_deref()
            .map(|state| state.mode_of(connection))
        {
            Ok(ProxyMode::Forward) => {}
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

/// The folder of PostgreSQL's programs: Debian's newest version, or empty to search the path.
pub fn postgres_bin() -> PathBuf {
    let mut versions: Vec<_> = match std::fs::read_dir("/usr/lib/postgresql") {
        Ok(folders) => folders.map(|folder| folder.unwrap().path()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => return PathBuf::new(),
        Err(error) => panic!("{error}"),
    };
    versions.sort();
    versions.pop().unwrap().join("bin")
}

/// Kills the process group that a child leads.
pub fn kill_process_group(child: &mut Child) {
    signal("-KILL", &["--".to_owned(), format!("-{}", child.id())]);
    let _ = child.wait();
}

/// A process and its children.
fn process_tree(pid: u32) -> Vec<String> {
    let pid = pid.to_string();
    let output = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &pid])
        .output()
        .unwrap();
    let children = String::from_utf8(output.stdout).unwrap();
    // The parent first, so that it does not start more children.
    let children = children.split_whitespace().map(str::to_owned);
    std::iter::once(pid).chain(children).collect()
}

fn signal(signal: &str, pids: &[String]) {
    // A child may have exited already.
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
