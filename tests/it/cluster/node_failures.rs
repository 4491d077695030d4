//! Three real servers as one, while what they stand on fails: whatever it is, nothing that was answered is missing, no
//! version is skipped or given twice, every client ends on the newest version, and nothing is left behind.
//!
//! A run is decided by its seed, which a failure prints with a timeline; `LIBRARY_SYNC_TEST_SEED=<n>` repeats it.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::{
    cluster::brokers::{Kind, on_each_broker},
    support::crowd::{Crowd, Timeline},
    support::servers::{Proxy, RedisCluster, Server, free_port, redis_cli},
    support::test_app::TestProcess,
};

const NODES: usize = 3;
const READERS: usize = 3;

/// How long a part is broken.
const OUTAGE: Duration = Duration::from_millis(1_500);

/// How soon after an outage everything must be answered and known: a few heartbeats of two seconds.
const RECOVERY: Duration = Duration::from_secs(20);

/// What a server that comes back may hold more than before: connections of a pool that grew, and freed memory that its
/// allocator keeps.
const MORE_FILES: usize = 25;
const MORE_KIB: usize = 64 << 10;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A node is killed.
    Kill(usize),
    /// A node is told to stop, and another started in its place.
    Roll(usize),
    /// The broker is killed and started again.
    BrokerRestarts,
    /// The broker keeps its connections and answers nothing.
    BrokerFreezes,
    /// The first node's connections to the broker end, and it gets no other.
    FirstNodeIsCutOff,
    /// Nothing passes between the first node and the broker.
    FirstNodeHearsNothing,
    /// PostgreSQL is killed and started again.
    DatabaseRestarts,
    /// PostgreSQL keeps its connections and answers nothing.
    DatabaseFreezes,
    /// PostgreSQL ends all its connections, at the beginning and at the end.
    DatabaseHangsUp,
}

const FAULTS: [Fault; 9] = [
    Fault::Kill(1),
    Fault::Roll(2),
    Fault::BrokerRestarts,
    Fault::BrokerFreezes,
    Fault::FirstNodeIsCutOff,
    Fault::FirstNodeHearsNothing,
    Fault::DatabaseRestarts,
    Fault::DatabaseFreezes,
    Fault::DatabaseHangsUp,
];

on_each_broker! {
    async fn every_client_ends_on_the_newest_version_whatever_fails(kind: Kind) {
        let seed = match std::env::var("LIBRARY_SYNC_TEST_SEED") {
            Ok(seed) => seed.parse().expect("a number"),
            Err(_) => fastrand::u64(..),
        };
        let mut rng = Rng::with_seed(seed);
        let timeline = Timeline::new(seed);
        let mut cluster = Cluster::start(kind, &timeline).await;
        let crowd = Crowd::start(&cluster.bases(), READERS, &timeline);
        crowd.until_all_know(RECOVERY).await;
        sleep(OUTAGE).await;

        let mut alone = FAULTS;
        rng.shuffle(&mut alone);
        for fault in alone {
            cluster.suffer(&[fault], &crowd).await;
        }
        cluster.lose_half_of_the_notices().await;
        for _ in 0..4 {
            let mut two = FAULTS;
            rng.shuffle(&mut two);
            cluster.suffer(&two[..2], &crowd).await;
        }
        let _hushed = crowd.hush(RECOVERY).await;
        timeline.tell(&format!("{} changes were answered", crowd.answered()));
        cluster.holds(&crowd.answers()).await;
        cluster.stop().await;
    }
}

/// Three nodes, their database and their broker.
struct Cluster {
    timeline: Timeline,
    database: Server,
    broker: Carrier,
    /// The first node's way to the broker.
    ways: Vec<Proxy>,
    /// The broker's address by those ways, and the others' address of it.
    addresses: [String; 2],
    /// Of a hundred notices, how many each node drops.
    lose: u8,
    nodes: Vec<Node>,
}

/// The server that carries notices.
enum Carrier {
    Database,
    One(Server),
    Shards(RedisCluster),
}

struct Node {
    port: u16,
    process: TestProcess,
    /// What it held when all was well.
    held: Held,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    files: usize,
    kib: usize,
}

impl Cluster {
    async fn start(kind: Kind, timeline: &Timeline) -> Self {
        let database = Server::postgres().await;
        let broker = match kind {
            Kind::Postgres => Carrier::Database,
            Kind::Redis => Carrier::One(Server::redis(&[]).await),
            Kind::Nats => Carrier::One(Server::nats(&[]).await),
            Kind::RedisCluster => Carrier::Shards(RedisCluster::start().await),
        };
        let mut ways = Vec::new();
        let addresses = match &broker {
            Carrier::Database => {
                ways.push(Proxy::to(database.port).await);
                [database.url_at(ways[0].port), "postgres:".to_owned()]
            }
            Carrier::One(server) => {
                ways.push(Proxy::to(server.port).await);
                [server.url_at(ways[0].port), server.url()]
            }
            Carrier::Shards(cluster) => {
                // Told no host, a node goes to the one it asked: the first by 127.0.0.2, where the ways are.
                for server in &cluster.servers {
                    let no_host = [
                        "CONFIG",
                        "SET",
                        "cluster-preferred-endpoint-type",
                        "unknown-endpoint",
                    ];
                    assert_eq!(redis_cli(server.port, &no_host).trim(), "OK");
                    ways.push(Proxy::at(("127.0.0.2", server.port), server.port).await);
                }
                [
                    cluster.url().replace("127.0.0.1", "127.0.0.2"),
                    cluster.url(),
                ]
            }
        };
        let mut cluster = Self {
            timeline: timeline.clone(),
            database,
            broker,
            ways,
            addresses,
            lose: 0,
            nodes: Vec::new(),
        };
        for number in 0..NODES {
            let port = free_port();
            let process = cluster.serve(number, port).await;
            cluster.nodes.push(Node {
                port,
                process,
                held: Held::default(),
            });
        }
        cluster
    }

    async fn serve(&self, number: usize, port: u16) -> TestProcess {
        let address = &self.addresses[number.min(1)];
        let sign = if address.contains('?') { '&' } else { '?' };
        let broker = format!("{address}{sign}lose={}", self.lose);
        let flags = [
            ("--broker-url", broker.as_str()),
            ("--heartbeat", "2s"),
            ("--max-user-rate", "0"),
            ("--drain-spread", "1s"),
            ("--database-wait", "2s"),
            ("--log", "error"),
        ];
        let flags: Vec<_> = flags
            .iter()
            .flat_map(|(flag, value)| [*flag, value])
            .collect();
        TestProcess::serve_at(port, &self.database.url(), &flags).await
    }

    fn bases(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| node.process.base.clone())
            .collect()
    }

    /// Breaks something for a while, and waits until nothing is left of it.
    async fn suffer(&mut self, faults: &[Fault], crowd: &Crowd) {
        let killed: Vec<_> = faults.iter().filter_map(|fault| fault.node()).collect();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if !killed.contains(&number) {
                node.held = node.process.held();
            }
        }
        for fault in faults {
            self.timeline.tell(&format!("{fault:?}"));
            self.begin(*fault).await;
        }
        let before = crowd.answered();
        sleep(OUTAGE).await;
        // Nodes last, since one that starts without its database gives up.
        let mut faults = faults.to_vec();
        faults.sort_by_key(|fault| fault.node().is_some());
        for fault in faults {
            self.end(fault).await;
        }
        let answered = crowd.answered() - before;
        self.timeline.tell(&format!(
            "all is mended; {answered} changes were answered meanwhile"
        ));
        crowd.until_all_know(RECOVERY).await;
        for (number, node) in self.nodes.iter().enumerate() {
            if !killed.contains(&number) {
                node.holds_no_more(number, &self.timeline).await;
            }
        }
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(node) => self.nodes[node].process.signal("-KILL"),
            Fault::Roll(node) => self.nodes[node].process.signal("-TERM"),
            Fault::BrokerRestarts => self.kill_broker(),
            Fault::BrokerFreezes => self.broker_server().freeze(),
            Fault::FirstNodeIsCutOff => {
                for way in &self.ways {
                    way.cut().await;
                }
            }
            Fault::FirstNodeHearsNothing => self.ways.iter().for_each(Proxy::silence),
            Fault::DatabaseRestarts => self.database.kill(),
            Fault::DatabaseFreezes => self.database.freeze(),
            Fault::DatabaseHangsUp => self.hang_up().await,
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(node) => self.start_again(node, None).await,
            Fault::Roll(node) => self.start_again(node, Some(0)).await,
            Fault::BrokerRestarts => self.start_broker().await,
            Fault::BrokerFreezes => self.broker_server().thaw(),
            Fault::FirstNodeIsCutOff | Fault::FirstNodeHearsNothing => {
                self.ways.iter().for_each(Proxy::mend);
            }
            Fault::DatabaseRestarts => self.database.start_if_killed().await,
            Fault::DatabaseFreezes => self.database.thaw(),
            Fault::DatabaseHangsUp => self.hang_up().await,
        }
    }

    /// Waits for a node's end, by this exit code, and starts another in its place.
    async fn start_again(&mut self, number: usize, code: Option<i32>) {
        let port = self.nodes[number].port;
        let ended = self.nodes[number].process.wait().await;
        assert_eq!(ended, code, "how node {number} ended");
        self.nodes[number].process = self.serve(number, port).await;
    }

    /// The server that carries notices, or one of several.
    fn broker_server(&mut self) -> &mut Server {
        match &mut self.broker {
            Carrier::Database => &mut self.database,
            Carrier::One(server) => server,
            Carrier::Shards(cluster) => &mut cluster.servers[0],
        }
    }

    fn kill_broker(&mut self) {
        match &mut self.broker {
            Carrier::Shards(cluster) => cluster.servers.iter_mut().for_each(Server::kill),
            _ => self.broker_server().kill(),
        }
    }

    async fn start_broker(&mut self) {
        match &mut self.broker {
            Carrier::Shards(cluster) => {
                for server in &mut cluster.servers {
                    server.start_if_killed().await;
                }
            }
            _ => self.broker_server().start_if_killed().await,
        }
    }

    async fn hang_up(&self) {
        let all = async {
            let mut connection = PgConnection::connect(&self.database.url()).await?;
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
            sqlx::query(others).execute(&mut connection).await
        };
        // It may be down or frozen for another reason.
        let _ = timeout(Duration::from_secs(1), all).await;
    }

    /// Replaces each node in turn by one that drops half of the notices that it gets.
    async fn lose_half_of_the_notices(&mut self) {
        self.lose = 50;
        for number in 0..NODES {
            self.timeline.tell(&format!("node {number} is replaced"));
            self.nodes[number].process.signal("-TERM");
            self.start_again(number, Some(0)).await;
        }
    }

    /// Everything that was answered is stored under the version that was answered, and nothing else is.
    async fn holds(&self, answers: &[(String, BTreeMap<i64, Uuid>)]) {
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        for (name, answered) in answers {
            let stories = "SELECT stamp, id FROM topaz_story WHERE user_id = $1";
            let stories = sqlx::query(stories)
                .bind(name)
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let stored: BTreeMap<i64, Uuid> = stories
                .iter()
                .map(|row| (i64::from(row.get::<i32, _>(0)), row.get(1)))
                .collect();
            assert_eq!(
                *answered, stored,
                "{name}: what was answered, and what is stored"
            );
            let newest = i64::try_from(stored.len()).unwrap() + 1;
            assert!(
                stored.keys().copied().eq(2..=newest),
                "{name}: {:?}",
                stored.keys()
            );
            let head = "SELECT library_version FROM topaz_user WHERE subject = $1";
            let head = sqlx::query(head)
                .bind(name)
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(i64::from(head.get::<i32, _>(0)), newest, "{name}");
        }
    }

    async fn stop(&mut self) {
        for node in &self.nodes {
            node.process.signal("-TERM");
        }
        for node in &mut self.nodes {
            assert_eq!(node.process.wait().await, Some(0));
        }
    }
}

impl Fault {
    /// The node that ends.
    fn node(self) -> Option<usize> {
        match self {
            Self::Kill(node) | Self::Roll(node) => Some(node),
            _ => None,
        }
    }
}

impl Node {
    /// Waits until the process holds no more than when all was well.
    async fn holds_no_more(&self, number: usize, timeline: &Timeline) {
        let limit = Held {
            files: self.held.files + MORE_FILES,
            kib: self.held.kib + MORE_KIB,
        };
        let began = Instant::now();
        loop {
            let holds = self.process.held();
            if holds.files <= limit.files && holds.kib <= limit.kib {
                return timeline.tell(&format!("node {number}: {:?}, then {holds:?}", self.held));
            }
            assert!(
                began.elapsed() < RECOVERY,
                "node {number} holds {holds:?}, over {limit:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl TestProcess {
    fn held(&self) -> Held {
        let folder = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = kib.and_then(|kib| kib.split_whitespace().next()).unwrap();
        Held {
            files: std::fs::read_dir(format!("{folder}/fd")).unwrap().count(),
            kib: kib.parse().unwrap(),
        }
    }
}
