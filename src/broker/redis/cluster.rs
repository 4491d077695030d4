//! Notices over Redis Cluster, with one supervisor per shard.
//!
//! A user's channel maps to a slot, and a slot to a shard. The cluster is polled for this map. When slots or masters move,
//! users and their unsent notices move to the supervisor of the new shard.
//!
//! **Invariant:** a shard that is down delays only the notices of the users on that shard.
//! **Invariant:** every user belongs to exactly one supervisor. Users of an unassigned slot belong to one without a link.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use parking_lot::RwLock;
use redis::{Client, Value, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    client::{client, without_timeouts},
    server::{Route, Server},
    slots::{Range, Slots, slot},
};
use crate::{
    broker::{
        address::{Address, InvalidAddress},
        connection::{Fault, channel},
        inbox::Inbox,
        notice::{Broker, Listener, Notice, Signal},
        reconnect::ConnectionSupervisor,
        single_server::{Tasks, watched},
        timing::Timing,
    },
    version::UserId,
};

/// Polling interval while a shard is down.
const DEGRADED_POLL: Duration = Duration::from_secs(1);

/// The broker of a cluster.
pub(in crate::broker) struct Cluster {
    shards: Arc<Shards>,
    tasks: Tasks,
}

struct Shards {
    /// The configured servers, polled in turn with the discovered ones.
    seeds: Vec<Url>,
    prefix: String,
    inbox: Arc<Inbox>,
    timing: Timing,
    table: RwLock<Table>,
}

/// The map of slots to shards.
struct Table {
    slots: Slots,
    /// Keyed by the master's address.
    shards: HashMap<String, Shard>,
    /// The supervisor of users in unassigned slots.
    unassigned: Arc<ConnectionSupervisor>,
}

struct Shard {
    supervisor: Arc<ConnectionSupervisor>,
    url: Url,
    stop: CancellationToken,
}

impl Cluster {
    /// Creates a broker that is not started.
    pub fn new(address: &Address, timing: Timing) -> Result<Self, InvalidAddress> {
        for seed in &address.servers {
            client(seed)?;
        }
        let inbox = Arc::new(Inbox::new("redis_cluster", address.options.lose));
        let unassigned = Arc::new(ConnectionSupervisor::new(
            Arc::clone(&inbox),
            timing.clone(),
        ));
        let shards = Shards {
            seeds: address.servers.clone(),
            prefix: address.options.prefix().to_owned(),
            inbox,
            timing,
            table: RwLock::new(Table {
                slots: Slots::default(),
                shards: HashMap::new(),
                unassigned,
            }),
        };
        Ok(Self {
            shards: Arc::new(shards),
            tasks: Tasks::default(),
        })
    }
}

/// One shard of a cluster, for `library-sync doctor`.
pub(in crate::broker) struct ClusterShard {
    client: Client,
    prefix: String,
    address: String,
    slots: Arc<Slots>,
}

impl ClusterShard {
    /// Returns whether a user's channel is on this shard.
    pub fn owns(&self, user: &UserId) -> bool {
        self.slots.owner(slot(&channel(&self.prefix, ':', user))) == Some(&self.address)
    }

    /// Returns the route to its master.
    pub fn master_route(&self) -> Route {
        Route {
            server: Server::Fixed(self.client.clone()),
            prefix: self.prefix.clone(),
        }
    }
}

impl Cluster {
    /// Returns the shards, as the first of the configured servers reports them that answers.
    ///
    /// # Errors
    /// When none of them answers.
    pub async fn routes(&self) -> Result<Vec<ClusterShard>, Fault> {
        let mut found = Err("the address has no server".into());
        for turn in 0..self.shards.seeds.len() {
            found = self.shards.ask(&mut None, turn).await;
            if found.is_ok() {
                break;
            }
        }
        let ranges: Vec<Range> = found?;
        let slots = Arc::new(Slots::of(&ranges));
        let mut shards: HashMap<String, Url> = HashMap::new();
        for range in &ranges {
            shards.insert(range.address(), range.master.clone());
        }
        let shards = shards.into_iter().map(|(address, master)| {
            Ok(ClusterShard {
                client: client(&master)?,
                prefix: self.shards.prefix.clone(),
                address,
                slots: Arc::clone(&slots),
            })
        });
        shards.collect()
    }
}

impl Broker for Cluster {
    fn publish(&self, notice: Notice) {
        self.shards.inbox.deliver(Signal::Notice(notice.clone()));
        let table = self.shards.table.read();
        table
            .supervisor(self.shards.slot(&notice.user))
            .send(notice);
    }

    fn listen(&self, listener: Listener) {
        if self.shards.inbox.listen(listener) {
            let (shards, tasks) = (Arc::clone(&self.shards), self.tasks.clone());
            self.tasks.running.spawn(shards.follow(tasks));
        }
    }

    fn watch(&self, user: &UserId) {
        let table = self.shards.table.read();
        let supervisor = table.supervisor(self.shards.slot(user));
        if supervisor.interest.watch(user, 1) {
            watched(&self.shards.inbox).increment(1);
        }
    }

    fn unwatch(&self, user: &UserId) {
        let table = self.shards.table.read();
        let supervisor = table.supervisor(self.shards.slot(user));
        if supervisor.interest.unwatch(user) {
            watched(&self.shards.inbox).decrement(1);
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            let supervisors: Vec<_> = self.shards.table.read().supervisors().cloned().collect();
            join_all(supervisors.iter().map(|supervisor| supervisor.flush())).await;
            self.tasks.end().await;
        }
        .boxed()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

impl Table {
    fn supervisor(&self, slot: u16) -> &Arc<ConnectionSupervisor> {
        self.slots
            .owner(slot)
            .and_then(|address| self.shards.get(address))
            .map_or(&self.unassigned, |shard| &shard.supervisor)
    }

    fn supervisors(&self) -> impl Iterator<Item = &Arc<ConnectionSupervisor>> {
        self.shards
            .values()
            .map(|shard| &shard.supervisor)
            .chain([&self.unassigned])
    }
}

impl Shards {
    fn slot(&self, user: &UserId) -> u16 {
        slot(&channel(&self.prefix, ':', user))
    }

    /// Polls the cluster for its shards until the broker stops.
    async fn follow(self: Arc<Self>, tasks: Tasks) {
        let (mut source, mut turn, mut answered) = (None, 0, true);
        loop {
            let asked = timeout(self.timing.patience, self.ask(&mut source, turn));
            let asked = tokio::select! {
                () = tasks.stop.cancelled() => return,
                asked = asked => asked.unwrap_or_else(|_| Err("it does not respond".into())),
            };
            match &asked {
                Ok(ranges) => self.arrange(ranges, &tasks),
                Err(error) if answered => {
                    tracing::warn!(error, "cannot poll the cluster for its shards");
                }
                Err(error) => tracing::debug!(error, "still cannot poll the cluster"),
            }
            answered = asked.is_ok();
            let all_is_well = answered && self.are_up();
            if !all_is_well {
                // Try another server.
                source = None;
                turn += 1;
            }
            let pause = if all_is_well {
                self.timing.probe
            } else {
                DEGRADED_POLL.min(self.timing.probe)
            };
            tokio::select! {
                () = tasks.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    fn are_up(&self) -> bool {
        let table = self.table.read();
        !table.shards.is_empty() && table.shards.values().all(|shard| shard.supervisor.is_up())
    }

    /// Returns the slot ranges and their masters, as one server reports them.
    async fn ask(
        &self,
        source: &mut Option<(Url, MultiplexedConnection)>,
        turn: usize,
    ) -> Result<Vec<Range>, Fault> {
        let (url, mut connection) = if let Some(source) = source {
            source.clone()
        } else {
            let url = self.server(turn);
            let client: Client = client(&url)?;
            let config = without_timeouts();
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let connection = connecting.await?;
            source.insert((url, connection)).clone()
        };
        let slots: Vec<Vec<Value>> = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(&mut connection)
            .await?;
        let ranges = slots.iter().map(|range| Range::read(range, &url));
        // A server that was reset returns an empty list.
        ranges
            .collect::<Option<Vec<_>>>()
            .filter(|ranges| !ranges.is_empty())
            .ok_or_else(|| "it returned no shards".into())
    }

    /// Returns the known servers in turn.
    fn server(&self, turn: usize) -> Url {
        let table = self.table.read();
        let known: Vec<_> = self
            .seeds
            .iter()
            .chain(table.shards.values().map(|shard| &shard.url))
            .collect();
        known[turn % known.len()].clone()
    }

    /// Updates the supervisors to the shards of the cluster.
    fn arrange(&self, ranges: &[Range], tasks: &Tasks) {
        let slots = Slots::of(ranges);
        let table = self.table.read();
        if table.slots == slots {
            // An unsent batch returns to its former supervisor, even if its slots moved meanwhile.
            for supervisor in table.supervisors() {
                self.move_unsent(supervisor, &table);
            }
            return;
        }
        drop(table);
        let mut table = self.table.write();
        for range in ranges {
            table
                .shards
                .entry(range.address())
                .or_insert_with(|| self.open(range.master.clone(), tasks));
        }
        let gone: Vec<_> = table
            .shards
            .extract_if(|address, _| !slots.has(address))
            .map(|(_, shard)| shard)
            .collect();
        for shard in &gone {
            shard.stop.cancel();
        }
        table.slots = slots;
        tracing::info!(
            shards = table.shards.len(),
            "the shards of the cluster changed"
        );
        let gone = gone.iter().map(|shard| &shard.supervisor);
        for supervisor in table.supervisors().chain(gone) {
            let leaves = |user: &UserId| !self.belongs(user, supervisor, &table);
            for (user, watches) in supervisor.interest.remove(leaves) {
                let to = table.supervisor(self.slot(&user));
                to.interest.watch(&user, watches);
            }
            self.move_unsent(supervisor, &table);
        }
    }

    fn move_unsent(&self, supervisor: &Arc<ConnectionSupervisor>, table: &Table) {
        let leaves = |user: &UserId| !self.belongs(user, supervisor, table);
        for notice in supervisor.outbox.remove(leaves) {
            table.supervisor(self.slot(&notice.user)).send(notice);
        }
    }

    fn belongs(
        &self,
        user: &UserId,
        supervisor: &Arc<ConnectionSupervisor>,
        table: &Table,
    ) -> bool {
        Arc::ptr_eq(table.supervisor(self.slot(user)), supervisor)
    }

    fn open(&self, url: Url, tasks: &Tasks) -> Shard {
        let supervisor = Arc::new(ConnectionSupervisor::new(
            Arc::clone(&self.inbox),
            self.timing.clone(),
        ));
        let stop = tasks.stop.child_token();
        if let Ok(client) = client(&url) {
            let route = Route {
                server: Server::Fixed(client),
                prefix: self.prefix.clone(),
            };
            let run = Arc::clone(&supervisor).run(route, stop.clone());
            tasks.running.spawn(run);
        }
        Shard {
            supervisor,
            url,
            stop,
        }
    }
}
