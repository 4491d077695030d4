//! The rules for every broker, tested with real servers of each kind.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use library_sync::{
    broker::{self, Broker, Notice, Signal, Timing},
    version::{Epoch, Head, UserId, Version},
};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::Instant,
};
use uuid::Uuid;

use crate::{
    support::certificate::write_certificate,
    support::programs::Finish as _,
    support::servers::{Proxy, RedisCluster, RedisSentinel, Server, free_port, redis_cli},
    support::test_app::{
        Db, SECRET, TestApp, TestDatabase, TestProcess, http_client, program, soon, token,
    },
};

/// The brokers for several nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Redis,
    RedisCluster,
    Nats,
}

/// Generates four tests of each rule: `<rule>::on_postgres`, `on_redis`, `on_redis_cluster` and `on_nats`.
macro_rules! on_each_broker {
    ($(async fn $rule:ident($kind:ident: Kind) $body:block)*) => {$(
        crate::cluster::brokers::on_brokers! {
            async fn $rule($kind: Kind) $body
            on_postgres: Postgres, on_redis: Redis, on_redis_cluster: RedisCluster, on_nats: Nats
        }
    )*};
}

/// Generates a test of a rule for each named kind.
macro_rules! on_brokers {
    (async fn $rule:ident($kind:ident: Kind) $body:block $($name:ident: $variant:ident),*) => {
        mod $rule {
            use super::*;

            async fn rule($kind: Kind) $body

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    rule(Kind::$variant).await;
                }
            )*
        }
    };
}
pub(crate) use {on_brokers, on_each_broker};

/// Short timeouts and backoff.
fn timing() -> Timing {
    Timing {
        patience: Duration::from_secs(2),
        probe: Duration::from_millis(300),
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(200),
    }
}

impl Kind {
    /// Whether each user has a channel.
    fn is_selective(self) -> bool {
        self != Self::Postgres
    }

    /// The server that `scripts/test` starts.
    fn shared(self) -> String {
        let name = match self {
            Self::Postgres => "LIBRARY_SYNC_TEST_POSTGRES",
            Self::Redis => "LIBRARY_SYNC_TEST_REDIS",
            Self::RedisCluster => "LIBRARY_SYNC_TEST_REDIS_CLUSTER",
            Self::Nats => "LIBRARY_SYNC_TEST_NATS",
        };
        std::env::var(name).unwrap_or_else(|_| {
            panic!("{name}: run the tests by scripts/test, which starts the servers they need")
        })
    }

    /// An address with channels that no other test uses.
    fn address(self) -> Address {
        Address {
            kind: self,
            server: self.shared(),
            prefix: format!("test-{}", Uuid::now_v7()),
        }
    }

    /// A dedicated server; not for clusters.
    async fn server(self) -> Server {
        match self {
            Self::Postgres => Server::postgres().await,
            Self::Redis => Server::redis(&[]).await,
            Self::Nats => Server::nats(&[]).await,
            Self::RedisCluster => panic!("a cluster is several servers"),
        }
    }
}

/// A server, and the prefix of one test's channels on it.
#[derive(Debug, Clone)]
struct Address {
    kind: Kind,
    server: String,
    prefix: String,
}

impl Address {
    fn of(kind: Kind, server: String) -> Self {
        Self {
            kind,
            server,
            prefix: "own".to_owned(),
        }
    }

    fn url(&self) -> String {
        format!("{}?prefix={}", self.server, self.prefix)
    }

    /// The same server through a proxy.
    fn through(&self, proxy: &Proxy) -> Self {
        let there = format!("127.0.0.1:{}", self.port());
        let here = format!("127.0.0.1:{}", proxy.port);
        Self {
            server: self.server.replace(&there, &here),
            ..self.clone()
        }
    }

    /// The first server's port.
    fn port(&self) -> u16 {
        let (_, rest) = self.server.split_once("127.0.0.1:").unwrap();
        rest.split(['/', ',']).next().unwrap().parse().unwrap()
    }

    /// Publishes raw text in a user's channel, to test invalid notices.
    async fn publish_raw(&self, user: &str, text: &str) {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
        let name = BASE64_URL_SAFE_NO_PAD.encode(user);
        let (port, prefix) = (self.port(), &self.prefix);
        match self.kind {
            Kind::Postgres => {
                let mut connection = PgConnection::connect(&self.server).await.unwrap();
                let notify = sqlx::query("SELECT pg_notify($1, $2)")
                    .bind(prefix)
                    .bind(text);
                notify.execute(&mut connection).await.unwrap();
            }
            Kind::Redis | Kind::RedisCluster => {
                redis_cli(port, &["-c", "SPUBLISH", &format!("{prefix}:{name}"), text]);
            }
            Kind::Nats => {
                let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
                    .await
                    .unwrap();
                let put = format!(
                    "CONNECT {{\"verbose\":false}}\r\nPUB {prefix}.{name} {}\r\n{text}\r\nPING\r\n",
                    text.len()
                );
                socket.write_all(put.as_bytes()).await.unwrap();
                let mut received = String::new();
                while !received.contains("PONG") {
                    received.push(char::from(socket.read_u8().await.unwrap()));
                }
            }
        }
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn notice(name: &str, version: i32) -> Notice {
    let head = Head {
        epoch: Epoch::new(1_700_000_000_000),
        version: Version::new(version),
    };
    Notice::new(user(name), head)
}

/// A node's connection to a broker.
struct Node {
    broker: Arc<dyn Broker>,
    signals: mpsc::UnboundedReceiver<Signal>,
    selective: bool,
}

impl Node {
    /// Opens the broker, whose server may not be up yet.
    fn open(address: &Address) -> Self {
        let broker = broker::open(&address.url(), None, timing()).unwrap();
        let (send, signals) = mpsc::unbounded_channel();
        broker.listen(Arc::new(move |signal| {
            let _ = send.send(signal);
        }));
        Self {
            broker,
            signals,
            selective: address.kind.is_selective(),
        }
    }

    /// Opens the broker and waits until it is connected.
    async fn start(address: &Address) -> Self {
        let mut node = Self::open(address);
        // A cluster has three connections.
        for _ in 0..if address.kind == Kind::RedisCluster {
            3
        } else {
            1
        } {
            node.until("it is connected", |signal| *signal == Signal::Recheck)
                .await;
        }
        node
    }

    fn publish(&self, name: &str, version: i32) {
        self.broker.publish(notice(name, version));
    }

    /// Watches a user, and waits until their notices arrive.
    async fn watch(&mut self, name: &str) {
        self.broker.watch(&user(name));
        if self.selective {
            self.until_rechecked(&[name]).await;
        }
    }

    async fn until_rechecked(&mut self, names: &[impl AsRef<str>]) {
        let mut waiting: Vec<_> = names.iter().map(|name| user(name.as_ref())).collect();
        while !waiting.is_empty() {
            let signal = soon("a recheck of the user", self.signals.recv())
                .await
                .unwrap();
            if let Signal::RecheckUsers(users) = signal {
                waiting.retain(|user| !users.contains(user));
            }
        }
    }

    /// Waits for a signal, and returns those received before it.
    async fn until(&mut self, what: &str, is_it: impl Fn(&Signal) -> bool) -> Vec<Signal> {
        let mut before = Vec::new();
        loop {
            let signal = soon(what, self.signals.recv()).await.unwrap();
            if is_it(&signal) {
                return before;
            }
            before.push(signal);
        }
    }

    async fn until_recheck(&mut self) {
        self.until("a recheck", |signal| *signal == Signal::Recheck)
            .await;
    }

    /// Waits for one notice of each.
    async fn until_notices(&mut self, names: &[impl AsRef<str>], version: i32) {
        let expected = |name: &str| Signal::Notice(notice(name, version));
        let mut missing: Vec<_> = names.iter().map(|name| expected(name.as_ref())).collect();
        while !missing.is_empty() {
            let signal = soon("all notices", self.signals.recv()).await.unwrap();
            missing.retain(|expected| *expected != signal);
        }
    }

    async fn until_notice(&mut self, name: &str, version: i32) -> Vec<Signal> {
        let expected = Signal::Notice(notice(name, version));
        self.until(&format!("{expected:?}"), |signal| *signal == expected)
            .await
    }
}

fn is_of(signal: &Signal, name: &str) -> bool {
    matches!(signal, Signal::Notice(notice) if notice.user == user(name))
}

on_each_broker! {
    async fn a_notice_reaches_the_nodes_that_watch_its_user(kind: Kind) {
        let address = kind.address();
        let a = Node::start(&address).await;
        let (mut b, mut c) = (Node::start(&address).await, Node::start(&address).await);
        b.watch("ann").await;
        c.watch("bob").await;
        a.publish("bob", 5);
        c.until_notice("bob", 5).await;
        a.publish("ann", 7);
        let before = b.until_notice("ann", 7).await;
        let has_bob = before.iter().any(|signal| is_of(signal, "bob"));
        assert_eq!(has_bob, !kind.is_selective(), "{before:?}");
    }

    async fn a_node_receives_its_own_notices_at_once(kind: Kind) {
        let address = kind.address();
        let mut node = Node::start(&address).await;
        while node.signals.try_recv().is_ok() {}
        node.publish("ann", 2);
        assert_eq!(node.signals.try_recv(), Ok(Signal::Notice(notice("ann", 2))));
    }

    async fn notices_of_an_unwatched_user_are_not_delivered(kind: Kind) {
        let address = kind.address();
        let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        let mut c = Node::start(&address).await;
        b.watch("ann").await;
        c.watch("ann").await;
        b.broker.unwatch(&user("ann"));
        settle(&mut b).await;
        a.publish("ann", 2);
        c.until_notice("ann", 2).await;
        b.watch("bob").await;
        a.publish("bob", 2);
        let before = b.until_notice("bob", 2).await;
        let has_ann = before.iter().any(|signal| is_of(signal, "ann"));
        assert_eq!(has_ann, !kind.is_selective(), "{before:?}");
    }

    async fn a_quick_unwatch_and_watch_ends_with_notices(kind: Kind) {
        let address = kind.address();
        let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        b.broker.watch(&user("ann"));
        for n in 0..200 {
            b.broker.unwatch(&user("ann"));
            if n % 3 == 0 {
                // Lets the broker act on some of them.
                tokio::task::yield_now().await;
            }
            b.broker.watch(&user("ann"));
            // A watch of another user that overtakes.
            b.broker.watch(&user("ann"));
            b.broker.unwatch(&user("ann"));
        }
        settle(&mut b).await;
        a.publish("ann", 2);
        b.until_notice("ann", 2).await;
    }

    async fn a_user_id_may_hold_any_character(kind: Kind) {
        let address = kind.address();
        let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        let longest = "\"".repeat(UserId::MAX_BYTES);
        let names = ["a b", "a.b", "*", ">", "a.>", "{x}y", "[a]", "'; --", "\"\\", "é🙂", "Ann", "ann", &longest];
        for name in names {
            b.watch(name).await;
        }
        for name in names {
            a.publish(name, 2);
            b.until_notice(name, 2).await;
        }
    }

    async fn ten_thousand_notices_of_a_user_coalesce_to_the_newest(kind: Kind) {
        let address = kind.address();
        let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        b.watch("ann").await;
        for version in 2..=10_001 {
            a.publish("ann", version);
        }
        let before = b.until_notice("ann", 10_001).await;
        assert!(before.len() < 5_000, "{} were sent", before.len());
    }

    async fn an_invalid_notice_is_dropped_and_later_ones_arrive(kind: Kind) {
        let address = kind.address();
        let mut node = Node::start(&address).await;
        node.watch("ann").await;
        address.publish_raw("ann", "garbage").await;
        address.publish_raw("ann", "").await;
        address.publish_raw("ann", &"x".repeat(5_000)).await;
        let newer = r#"{"user":"ann","kinds":["STORY"],"epoch":1700000000000,"version":9}"#;
        address.publish_raw("ann", newer).await;
        let before = node.until_notice("ann", 9).await;
        assert!(before.iter().all(|signal| *signal == Signal::Recheck), "{before:?}");
    }

    async fn closing_a_broker_sends_its_pending_notices(kind: Kind) {
        let address = kind.address();
        let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        let names: Vec<_> = (0..100).map(|n| format!("user {n}")).collect();
        for name in &names {
            b.broker.watch(&user(name));
        }
        if kind.is_selective() {
            b.until_rechecked(&names).await;
        }
        for name in &names {
            a.publish(name, 2);
        }
        soon("the broker closes", a.broker.close()).await;
        b.until_notices(&names, 2).await;
    }

    async fn a_change_on_one_server_reaches_a_stream_of_another(kind: Kind) {
        let address = kind.address();
        let db = TestDatabase::new(Db::Postgres).await;
        let url = if kind == Kind::Postgres { "postgres:".to_owned() } else { address.url() };
        // Longer than the deadline of the test, so that only the broker delivers changes.
        let flags = ["--broker-url", url.as_str(), "--heartbeat", "1h"];
        let other = db.shared();
        let (mut a, mut b) = (TestApp::start_on(db, &flags).await, TestApp::start_on(other, &flags).await);
        let mut watch = b.user("ann").watch().await;
        watch.until(1).await;
        for version in 2..=20 {
            a.user("ann").create_tag(&format!("tag {version}")).await;
            watch.until(version).await;
        }
        drop(watch);
        b.stop().await;
        a.stop().await;
    }
}

/// Waits until earlier subscription changes are applied. They are applied in order, so those of thirty others, which are on
/// all shards of a cluster, come after.
async fn settle(node: &mut Node) {
    if node.selective {
        let others: Vec<_> = (0..30).map(|n| format!("other {n}")).collect();
        for other in &others {
            node.broker.watch(&user(other));
        }
        node.until_rechecked(&others).await;
    }
}

on_brokers! {
    async fn a_closed_connection_is_reopened_and_every_user_rechecked(kind: Kind) {
        let address = kind.address();
        let proxy = Proxy::to(address.port()).await;
        let a = Node::start(&address).await;
        let mut b = Node::start(&address.through(&proxy)).await;
        b.watch("ann").await;
        for version in [2, 4, 6] {
            proxy.disconnect().await;
            a.publish("ann", version);
            proxy.heal();
            b.until_recheck().await;
            a.publish("ann", version + 1);
            b.until_notice("ann", version + 1).await;
        }
    }
    on_postgres: Postgres, on_redis: Redis, on_nats: Nats
}

on_brokers! {
    async fn notices_published_while_disconnected_are_sent_after_reconnecting(kind: Kind) {
        let address = kind.address();
        let proxy = Proxy::to(address.port()).await;
        let a = Node::start(&address.through(&proxy)).await;
        let mut b = Node::start(&address).await;
        b.watch("ann").await;
        proxy.disconnect().await;
        for version in 2..=1_000 {
            a.publish("ann", version);
        }
        proxy.heal();
        b.until_notice("ann", 1_000).await;
    }
    on_postgres: Postgres, on_redis: Redis, on_nats: Nats
}

on_brokers! {
    async fn a_frozen_broker_is_detected_and_used_again_when_it_thaws(kind: Kind) {
        let mut server = kind.server().await;
        let proxy = Proxy::to(server.port).await;
        let address = Address::of(kind, server.url());
        let mut b = Node::start(&address.through(&proxy)).await;
        b.watch("ann").await;
        let links = proxy.accepted();
        server.freeze();
        // The first may be PostgreSQL's second connection.
        proxy.until_accepted(links + 2).await;
        server.thaw();
        b.until_recheck().await;
        let a = Node::start(&address).await;
        a.publish("ann", 2);
        b.until_notice("ann", 2).await;
        server.kill();
    }
    on_postgres: Postgres, on_redis: Redis, on_nats: Nats
}

on_brokers! {
    async fn a_network_partition_is_detected(kind: Kind) {
        let address = kind.address();
        let proxy = Proxy::to(address.port()).await;
        let a = Node::start(&address).await;
        let mut b = Node::start(&address.through(&proxy)).await;
        b.watch("ann").await;
        let links = proxy.accepted();
        proxy.partition();
        a.publish("ann", 2);
        // The first may be PostgreSQL's second connection.
        proxy.until_accepted(links + 2).await;
        proxy.heal();
        b.until_recheck().await;
        a.publish("ann", 3);
        b.until_notice("ann", 3).await;
    }
    on_postgres: Postgres, on_redis: Redis, on_nats: Nats
}

on_brokers! {
    async fn a_restarted_broker_is_used_again(kind: Kind) {
        let mut server = kind.server().await;
        let address = Address::of(kind, server.url());
        let (mut a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        b.watch("ann").await;
        for version in [2, 3] {
            server.kill();
            server.start().await;
            a.until_recheck().await;
            b.until_recheck().await;
            a.publish("ann", version);
            b.until_notice("ann", version).await;
        }
    }
    on_postgres: Postgres, on_redis: Redis, on_nats: Nats
}

on_brokers! {
    async fn a_broker_that_is_down_at_first_is_used_once_it_is_up(kind: Kind) {
        let mut server = kind.server().await;
        server.kill();
        let address = Address::of(kind, server.url());
        let (a, mut b) = (Node::open(&address), Node::open(&address));
        b.broker.watch(&user("ann"));
        a.publish("bob", 2);
        server.start().await;
        b.until_recheck().await;
        a.publish("ann", 2);
        b.until_notice("ann", 2).await;
    }
    on_postgres: Postgres, on_redis: Redis, on_nats: Nats
}

on_brokers! {
    async fn a_server_whose_broker_is_down_starts_and_writes_as_fast(kind: Kind) {
        let dead = free_port();
        let url = match kind {
            Kind::Postgres => format!("postgres://127.0.0.1:{dead}/none"),
            Kind::Redis => format!("redis://127.0.0.1:{dead}"),
            Kind::RedisCluster => format!("redis+cluster://127.0.0.1:{dead}"),
            Kind::Nats => format!("nats://127.0.0.1:{dead}"),
        };
        let alone = thirty_changes("memory:").await;
        let dead = thirty_changes(&url).await;
        // A change that waited for a connection would take a second or more. A busy disk can take that once.
        assert!(dead < alone * 3 + Duration::from_secs(10), "{dead:?}, and {alone:?} without");
    }
    on_postgres: Postgres, on_redis: Redis, on_redis_cluster: RedisCluster, on_nats: Nats
}

/// The time that a server with this broker takes to start, make and deliver 30 changes, and stop.
async fn thirty_changes(broker: &str) -> Duration {
    let began = Instant::now();
    let mut app = TestApp::start_with(Db::Sqlite, &["--broker-url", broker]).await;
    let mut watch = app.user("ann").watch().await;
    for version in 2..=31 {
        let tag = app.user("ann").create_tag(&format!("tag {version}")).await;
        assert_eq!(tag["libraryVersion"], version);
    }
    watch.until(31).await;
    drop(watch);
    app.stop().await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_freezes_delays_only_its_own_users() {
    let cluster = RedisCluster::start().await;
    let address = Address::of(Kind::RedisCluster, cluster.url());
    let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
    let names: Vec<_> = (0..30).map(|n| format!("user {n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for name in &names {
        b.broker.watch(&user(name));
    }
    b.until_rechecked(&names).await;

    let frozen = &cluster.servers[1];
    let channels = redis_cli(frozen.port, &["PUBSUB", "SHARDCHANNELS"]);
    assert!(channels.lines().count() > 1, "{channels}");
    let is_there = |name: &str| {
        use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
        channels.contains(&format!("own:{}", BASE64_URL_SAFE_NO_PAD.encode(name)))
    };
    let (there, elsewhere): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| is_there(name));
    frozen.freeze();
    for version in 2..20 {
        for name in &elsewhere {
            a.publish(name, version);
        }
        a.publish(there[0], version);
        b.until_notices(&elsewhere, version).await;
    }
    frozen.thaw();
    for name in there {
        // The first waits for the connection, which may be reopening.
        b.until_receives_from(&a, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_follow_their_slot_to_another_shard() {
    let cluster = RedisCluster::start().await;
    let address = Address::of(Kind::RedisCluster, cluster.url());
    let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
    let names: Vec<_> = (0..30).map(|n| format!("user {n}")).collect();
    for name in &names {
        b.broker.watch(&user(name));
    }
    b.until_rechecked(&names).await;
    let id = |n: usize| {
        redis_cli(cluster.servers[n].port, &["CLUSTER", "MYID"])
            .trim()
            .to_owned()
    };
    let host = format!("127.0.0.1:{}", cluster.servers[0].port);
    let moved = Command::new("redis-cli")
        .args([
            "--cluster",
            "reshard",
            &host,
            "--cluster-yes",
            "--cluster-slots",
            "2000",
        ])
        .args(["--cluster-from", &id(0), "--cluster-to", &id(2)])
        .finish();
    assert!(moved.status.success(), "{moved:?}");
    for name in &names {
        b.until_receives_from(&a, name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_replica_takes_the_place_of_its_master_it_is_used() {
    let mut cluster = RedisCluster::start_with(1).await;
    let address = Address::of(Kind::RedisCluster, cluster.url());
    let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
    let names: Vec<_> = (0..12).map(|n| format!("user {n}")).collect();
    for name in &names {
        b.broker.watch(&user(name));
    }
    b.until_rechecked(&names).await;
    for name in &names {
        b.until_receives_from(&a, name).await;
    }
    cluster.servers[0].kill();
    for name in &names {
        b.until_receives_from(&a, name).await;
    }
}

impl Node {
    /// Has `other` publish notices of a user until one is received here.
    async fn until_receives_from(&mut self, other: &Node, name: &str) {
        let receiving = async {
            for version in 100.. {
                other.publish(name, version);
                let expected = Signal::Notice(notice(name, version));
                let wait = tokio::time::timeout(Duration::from_millis(200), async {
                    while self.signals.recv().await.unwrap() != expected {}
                });
                if wait.await.is_ok() {
                    return;
                }
            }
        };
        soon("a notice", receiving).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_sentinels_name_another_master_it_is_used() {
    let mut servers = RedisSentinel::start().await;
    let address = Address::of(Kind::Redis, servers.url());
    let (mut a, mut b) = (Node::start(&address).await, Node::start(&address).await);
    b.watch("ann").await;
    a.publish("ann", 2);
    b.until_notice("ann", 2).await;
    servers.master.kill();
    a.until_recheck().await;
    b.until_recheck().await;
    b.until_receives_from(&a, "ann").await;
    assert!(redis_cli(servers.replica.port, &["ROLE"]).starts_with("master"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_sharded_channels_falls_back_to_plain_channels() {
    let rename = ["SPUBLISH", "SSUBSCRIBE"].map(|name| ["--rename-command", name, ""]);
    let server = Server::redis(&rename.concat()).await;
    let address = Address::of(Kind::Redis, server.url());
    let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
    b.watch("ann").await;
    a.publish("ann", 2);
    b.until_notice("ann", 2).await;
}

on_brokers! {
    async fn a_node_receives_only_notices_of_users_that_it_watches(kind: Kind) {
        let (address, db) = (kind.address(), TestDatabase::new(Db::Postgres).await);
        let url = address.url();
        let flags = ["--broker-url", url.as_str(), "--heartbeat", "1h"];
        let server = TestProcess::serve(&db.url, &flags).await;
        let events = server.url("/api/library-version-events");
        let events = http_client().get(events).bearer_auth(token("user 0")).send();
        let mut events = soon("the stream", events).await.unwrap();
        soon("the first event", events.chunk()).await.unwrap().unwrap();

        let (others, last) = (Node::start(&address).await, Node::start(&address).await);
        let received = "library_sync_broker_notices_received_total";
        let mut published = 0;
        soon("the subscription", async {
            while server.counter(received).await < 1.0 {
                published += 1;
                last.publish("user 0", published);
            }
        })
        .await;
        for n in 1..1000 {
            others.publish(&format!("user {n}"), 2);
        }
        // Once it is closed, the broker's server has received the notices.
        soon("the notices of the others are sent", others.broker.close()).await;
        published += 1;
        let mut newest = notice("user 0", published);
        newest.head.epoch = Epoch::new(4_000_000_000_000);
        last.broker.publish(newest);
        let mut received_text = String::new();
        while !received_text.contains(&format!("\"version\":{published}")) {
            let chunk = soon("the newest version", events.chunk()).await.unwrap().unwrap();
            received_text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        let received = server.counter(received).await;
        assert!(received <= f64::from(published), "{received} notices, and {published} of the user");
        let watched = server.counter("library_sync_broker_watched_users").await;
        assert!((watched - 1.0).abs() < 0.1, "{watched}");
    }
    on_redis: Redis, on_redis_cluster: RedisCluster, on_nats: Nats
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_its_cluster_state_is_skipped() {
    let bus = free_port().to_string();
    let alone = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let alone = Server::redis(&alone).await;
    let hosts = Kind::RedisCluster.shared();
    let (scheme, hosts) = hosts.split_once("://").unwrap();
    // It is queried first, and has no slots.
    let address = Address {
        server: format!("{scheme}://127.0.0.1:{},{hosts}", alone.port),
        ..Kind::RedisCluster.address()
    };
    let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
    b.watch("ann").await;
    a.publish("ann", 2);
    b.until_notice("ann", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_in_the_address_authenticate_the_connection() {
    let redis = Server::redis(&["--requirepass", "open:sesame"]).await;
    let acl = ["--user", "ann", "on", ">p@s/s#w?%d", "+@all", "~*", "&*"];
    let redis_with_users = Server::redis(&acl).await;
    let nats = Server::nats(&["--user", "ann", "--pass", "p@s/s#w?%d"]).await;
    let nats_with_token = Server::nats(&["--auth", "t0ken"]).await;
    for (server, login) in [
        (&redis, ":open%3Asesame"),
        (&redis_with_users, "ann:p%40s%2Fs%23w%3F%25d"),
        (&nats, "ann:p%40s%2Fs%23w%3F%25d"),
        (&nats_with_token, "t0ken"),
    ] {
        let address = server.url().replace("://", &format!("://{login}@"));
        let kind = if address.starts_with("redis") {
            Kind::Redis
        } else {
            Kind::Nats
        };
        let address = Address::of(kind, address);
        let (a, mut b) = (Node::start(&address).await, Node::start(&address).await);
        b.watch("ann").await;
        a.publish("ann", 2);
        b.until_notice("ann", 2).await;
    }
}

#[test]
fn an_invalid_broker_url_is_refused_by_flag_and_not_printed() {
    for (url, reason) in [
        ("kafka://hunter2", "must begin with"),
        ("redis://u:hunter2@h:port", "not a valid URL"),
        ("redis://u:hunter2@h/db", "is invalid"),
        ("redis+sentinel://u:hunter2@h", "name of the master"),
        ("nats://u:hunter2@h?lose=all", "`lose`"),
        ("redis://h?hunter2=x", "unknown option"),
        ("redis://un?hunter2=@h", "may be a part of the password"),
        ("postgres:", "--database-url"),
        (
            "postgres://u:hunter2@h/db?sslmode=hunter3",
            "invalid option `sslmode`",
        ),
    ] {
        let serve = [
            "serve",
            "--database-url",
            "sqlite://nowhere/x.db",
            "--jwt-secret",
            SECRET,
        ];
        let output = program().args(serve).args(["--broker-url", url]).finish();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {error}");
        let named = error.contains("--broker-url") && error.contains("LIBRARY_SYNC_BROKER_URL");
        assert!(
            named && error.contains(reason) && !error.contains("hunter2"),
            "{url}: {error}"
        );
    }
}

/// The log of the program, at every level, until it reports its broker as connected or unavailable.
async fn log_until_broker_status(broker: &str, certificates: Option<&Path>) -> String {
    let folder = tempfile::TempDir::new().unwrap();
    let log = folder.path().join("log");
    let database = format!("sqlite://{}?mode=rwc", folder.path().join("x.db").display());
    let mut command = program();
    command.args(["serve", "--database-url", &database, "--jwt-secret", SECRET]);
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--log",
        "trace",
        "--broker-url",
        broker,
    ]);
    if let Some(certificates) = certificates {
        command.env("SSL_CERT_FILE", certificates);
    }
    let mut child = command
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let statuses = [
        "broker unavailable",
        "cannot poll the cluster",
        "broker connected",
    ];
    let log = soon("a log line on the broker", async {
        loop {
            let log = std::fs::read_to_string(&log).unwrap();
            if statuses.iter().any(|status| log.contains(status)) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_an_address_is_never_logged() {
    let dead = free_port();
    for url in [
        format!("redis://ann:hunter2@127.0.0.1:{dead}"),
        format!("redis+cluster://ann:hunter2@127.0.0.1:{dead}"),
        format!("redis+sentinel://ann:hunter2@127.0.0.1:{dead}/m?sentinel_password=hunter2"),
        format!("nats://ann:hunter2@127.0.0.1:{dead}"),
        format!("postgres://ann:hunter2@127.0.0.1:{dead}/db"),
        // These servers are up, and have no such user.
        Kind::Redis
            .shared()
            .replace("redis://", "redis://ann:hunter2@"),
        Kind::Nats
            .shared()
            .replace("nats://", "nats://ann:hunter2@"),
    ] {
        let log = log_until_broker_status(&url, None).await;
        let leak = log.lines().find(|line| line.contains("hunter2"));
        assert_eq!(leak, None, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_behind_tls_is_used_if_its_certificate_is_trusted() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key, other) = (path("certificate.pem"), path("key.pem"), path("other.pem"));
    for certificate in [&other, &certificate] {
        write_certificate(certificate, &key);
    }
    let port = free_port();
    let tls_port = port.to_string();
    let redis = ["--tls-port", &tls_port, "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
    let _redis = Server::redis(&[redis, files].concat()).await;
    let nats = Server::nats(&["--tls", "--tlscert", &certificate, "--tlskey", &key]).await;
    for url in [
        format!("rediss://127.0.0.1:{port}"),
        nats.url(),
        nats.url().replace("nats:", "tls:"),
    ] {
        let log = log_until_broker_status(&url, Some(certificate.as_ref())).await;
        assert!(log.contains("broker connected"), "{url}: {log}");
        let log = log_until_broker_status(&url, Some(other.as_ref())).await;
        assert!(log.contains("broker unavailable"), "{url}: {log}");
    }
}
