//! A cluster of three servers under faults of nodes, broker and database. No acknowledged change is lost, no
//! version is skipped or repeated, every client receives the newest version, and no file or memory leaks.
//!
//! A failure prints its seed and a timeline; `LIBRARY_SYNC_TEST_SEED=<n>` repeats the run.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::{
    cluster::brokers::{Kind, on_each_broker},
    support::servers::{Proxy, RedisCluster, Server, free_port, redis_cli},
    support::test_app::TestProcess,
    support::workload::{Timeline, Workload},
};

const NODES: usize = 3;
const USERS: usize = 3;

/// How long a fault lasts.
const OUTAGE: Duration = Duration::from_millis(1_500);

/// The deadline after an outage for all acknowledgements and deliveries: a few heartbeats of two seconds.
const RECOVERY: Duration = Duration::from_secs(20);

/// Allowed growth of a process over an outage: connections of a pool that grew, and freed memory that its
/// allocator keeps.
const MORE_FILES: usize = 25;
const MORE_KIB: usize = 64 << 10;

/// A fault to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A node is killed.
    Kill(usize),
    /// A node gets SIGTERM and is replaced.
    Roll(usize),
    /// The broker is killed and restarted.
    BrokerRestarts,
    /// The broker keeps its connections but does not respond.
    BrokerFreezes,
    /// The first node's connections to the broker are closed, also new ones.
    FirstNodeDisconnected,
    /// A network partition between the first node and the broker.
    FirstNodePartitioned,
    /// PostgreSQL is killed and restarted.
    DatabaseRestarts,
    /// PostgreSQL keeps its connections but does not respond.
    DatabaseFreezes,
    /// PostgreSQL closes all connections, at the start and at the end of the fault.
    DatabaseDisconnects,
}

const FAULTS: [Fault; 9] = [
    Fault::Kill(1),
    Fault::Roll(2),
    Fault::BrokerRestarts,
    Fault::BrokerFreezes,
    Fault::FirstNodeDisconnected,
    Fault::FirstNodePartitioned,
    Fault::DatabaseRestarts,
    Fault::DatabaseFreezes,
    Fault::DatabaseDisconnects,
];

on_each_broker! {
    async fn every_client_receives_the_newest_version_after_any_fault(kind: Kind) {
        let seed = match std::env::var("LIBRARY_SYNC_TEST_SEED") {
            Ok(seed) => seed.parse().expect("a number"),
            Err(_) => fastrand::u64(..),
        };
        let mut rng = Rng::with_seed(seed);
        let timeline = Timeline::new(seed);
        let mut cluster = Cluster::start(kind, &timeline).await;
        let workload = Workload::start(&cluster.bases(), USERS, &timeline);
        workload.until_converged(RECOVERY).await;
        sleep(OUTAGE).await;

        let mut alone = FAULTS;
        rng.shuffle(&mut alone);
        for fault in alone {
            cluster.run_faults(&[fault], &workload).await;
        }
        cluster.drop_half_of_the_notices().await;
        for _ in 0..4 {
            let mut two = FAULTS;
            rng.shuffle(&mut two);
            cluster.run_faults(&two[..2], &workload).await;
        }
        let _paused = workload.pause_writers(RECOVERY).await;
        timeline.record(&format!("{} changes were acknowledged", workload.acknowledged()));
        cluster.assert_stored(&workload.acknowledged_stories()).await;
        cluster.stop().await;
    }
}

/// Three nodes, their database and their broker.
struct Cluster {
    timeline: Timeline,
    database: Server,
    broker: BrokerServer,
    /// Proxies between the first node and the broker.
    proxies: Vec<Proxy>,
    /// The broker's address through those proxies, and its direct address.
    addresses: [String; 2],
    /// The percentage of notices that each node drops.
    lose: u8,
    nodes: Vec<Node>,
}

/// The server behind the broker.
enum BrokerServer {
    Database,
    One(Server),
    Shards(RedisCluster),
}

struct Node {
    port: u16,
    process: TestProcess,
    /// Its resource use before the fault.
    baseline: ResourceUse,
}

/// Resource use of a process.
#[derive(Debug, Clone, Copy, Default)]
struct ResourceUse {
    files: usize,
    kib: usize,
}

impl Cluster {
    async fn start(kind: Kind, timeline: &Timeline) -> Self {
        let database = Server::postgres().await;
        let broker = match kind {
            Kind::Postgres => BrokerServer::Database,
            Kind::Redis => BrokerServer::One(Server::redis(&[]).await),
            Kind::Nats => BrokerServer::One(Server::nats(&[]).await),
            Kind::RedisCluster => BrokerServer::Shards(RedisCluster::start().await),
        };
        let mut proxies = Vec::new();
        let addresses = match &broker {
            BrokerServer::Database => {
                proxies.push(Proxy::to(database.port).await);
                [database.url_at(proxies[0].port), "postgres:".to_owned()]
            }
            BrokerServer::One(server) => {
                proxies.push(Proxy::to(server.port).await);
                [server.url_at(proxies[0].port), server.url()]
            }
            BrokerServer::Shards(cluster) => {
                // Without a host in the reply, a node uses the host it connected to: the first node 127.0.0.2, where the proxies are.
                for server in &cluster.servers {
                    let no_host = [
                        "CONFIG",
                        "SET",
                        "cluster-preferred-endpoint-type",
                        "unknown-endpoint",
                    ];
                    assert_eq!(redis_cli(server.port, &no_host).trim(), "OK");
                    proxies.push(Proxy::at(("127.0.0.2", server.port), server.port).await);
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
            proxies,
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
                baseline: ResourceUse::default(),
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

    /// Injects faults for a while, ends them, and waits for convergence.
    async fn run_faults(&mut self, faults: &[Fault], workload: &Workload) {
        let killed: Vec<_> = faults.iter().filter_map(|fault| fault.node()).collect();
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if !killed.contains(&number) {
                node.baseline = node.process.resource_use();
            }
        }
        for fault in faults {
            self.timeline.record(&format!("{fault:?}"));
            self.begin(*fault).await;
        }
        let before = workload.acknowledged();
        sleep(OUTAGE).await;
        // Nodes last, since a node that starts without its database exits.
        let mut faults = faults.to_vec();
        faults.sort_by_key(|fault| fault.node().is_some());
        for fault in faults {
            self.end(fault).await;
        }
        let acknowledged = workload.acknowledged() - before;
        self.timeline.record(&format!(
            "faults ended; {acknowledged} changes were acknowledged meanwhile"
        ));
        workload.until_converged(RECOVERY).await;
        for (number, node) in self.nodes.iter().enumerate() {
            if !killed.contains(&number) {
                node.assert_no_leak(number, &self.timeline).await;
            }
        }
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(node) => self.nodes[node].process.signal("-KILL"),
            Fault::Roll(node) => self.nodes[node].process.signal("-TERM"),
            Fault::BrokerRestarts => self.kill_broker(),
            Fault::BrokerFreezes => self.broker_server().freeze(),
            Fault::FirstNodeDisconnected => {
                for proxy in &self.proxies {
                    proxy.disconnect().await;
                }
            }
            Fault::FirstNodePartitioned => self.proxies.iter().for_each(Proxy::partition),
            Fault::DatabaseRestarts => self.database.kill(),
            Fault::DatabaseFreezes => self.database.freeze(),
            Fault::DatabaseDisconnects => self.close_connections().await,
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(node) => self.replace_node(node, None).await,
            Fault::Roll(node) => self.replace_node(node, Some(0)).await,
            Fault::BrokerRestarts => self.start_broker().await,
            Fault::BrokerFreezes => self.broker_server().thaw(),
            Fault::FirstNodeDisconnected | Fault::FirstNodePartitioned => {
                self.proxies.iter().for_each(Proxy::heal);
            }
            Fault::DatabaseRestarts => self.database.start_if_killed().await,
            Fault::DatabaseFreezes => self.database.thaw(),
            Fault::DatabaseDisconnects => self.close_connections().await,
        }
    }

    /// Waits until a node exits with this code, and replaces it.
    async fn replace_node(&mut self, number: usize, code: Option<i32>) {
        let port = self.nodes[number].port;
        let ended = self.nodes[number].process.wait().await;
        assert_eq!(ended, code, "exit code of node {number}");
        self.nodes[number].process = self.serve(number, port).await;
    }

    /// The server of the broker, or the first of a cluster.
    fn broker_server(&mut self) -> &mut Server {
        match &mut self.broker {
            BrokerServer::Database => &mut self.database,
            BrokerServer::One(server) => server,
            BrokerServer::Shards(cluster) => &mut cluster.servers[0],
        }
    }

    fn kill_broker(&mut self) {
        match &mut self.broker {
            BrokerServer::Shards(cluster) => cluster.servers.iter_mut().for_each(Server::kill),
            _ => self.broker_server().kill(),
        }
    }

    async fn start_broker(&mut self) {
        match &mut self.broker {
            BrokerServer::Shards(cluster) => {
                for server in &mut cluster.servers {
                    server.start_if_killed().await;
                }
            }
            _ => self.broker_server().start_if_killed().await,
        }
    }

    async fn close_connections(&self) {
        let all = async {
            let mut connection = PgConnection::connect(&self.database.url()).await?;
            let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
            sqlx::query(others).execute(&mut connection).await
        };
        // It may be down or frozen for another reason.
        let _ = timeout(Duration::from_secs(1), all).await;
    }

    /// Replaces each node by one that drops half of its notices.
    async fn drop_half_of_the_notices(&mut self) {
        self.lose = 50;
        for number in 0..NODES {
            self.timeline.record(&format!("node {number} is replaced"));
            self.nodes[number].process.signal("-TERM");
            self.replace_node(number, Some(0)).await;
        }
    }

    /// Asserts that exactly the acknowledged changes are stored, under their acknowledged versions.
    async fn assert_stored(&self, stories: &[(String, BTreeMap<i64, Uuid>)]) {
        let mut connection = PgConnection::connect(&self.database.url()).await.unwrap();
        for (name, acknowledged) in stories {
            let stories = "SELECT stamp, id FROM topaz_story WHERE user_id = $1";
            let stored = sqlx::query(stories)
                .bind(name)
                .fetch_all(&mut connection)
                .await
                .unwrap();
            let stored: BTreeMap<i64, Uuid> = stored
                .iter()
                .map(|row| (i64::from(row.get::<i32, _>(0)), row.get(1)))
                .collect();
            assert_eq!(
                *acknowledged, stored,
                "{name}: acknowledged and stored stories"
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
    /// The node that exits.
    fn node(self) -> Option<usize> {
        match self {
            Self::Kill(node) | Self::Roll(node) => Some(node),
            _ => None,
        }
    }
}

impl Node {
    /// Waits until the resource use is back at the baseline plus the allowed growth.
    async fn assert_no_leak(&self, number: usize, timeline: &Timeline) {
        let limit = ResourceUse {
            files: self.baseline.files + MORE_FILES,
            kib: self.baseline.kib + MORE_KIB,
        };
        let began = Instant::now();
        loop {
            let used = self.process.resource_use();
            if used.files <= limit.files && used.kib <= limit.kib {
                return timeline.record(&format!(
                    "node {number}: {:?}, then {used:?}",
                    self.baseline
                ));
            }
            assert!(
                began.elapsed() < RECOVERY,
                "node {number} uses {used:?}, over {limit:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl TestProcess {
    fn resource_use(&self) -> ResourceUse {
        let folder = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = kib.and_then(|kib| kib.split_whitespace().next()).unwrap();
        ResourceUse {
            files: std::fs::read_dir(format!("{folder}/fd")).unwrap().count(),
            kib: kib.parse().unwrap(),
        }
    }
}
