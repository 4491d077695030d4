//! Between nodes: a committed change is announced to every node that watches its user.
//!
//! In the flow: `library` publishes after commit; the hub listens, and says whom it watches.
//!
//! ```text
//! publish ─┬─ this node's listener, at once
//!          └─ outbox (newest head a user) ─ link ─ server ─ link ─ inbox ─ other nodes' listeners
//! watch ──── interest (who is wanted) ───── link
//! ```
//!
//! A broker for several nodes is a *station*, which keeps one link up for ever, and a route to one
//! kind of server: PostgreSQL, Redis or NATS. Redis Cluster is several stations, one a shard.
//!
//! **Invariant:** a [`Notice`] is a hint, not data. It may be lost, repeated, late or out of order; the hub keeps the
//! greatest head and the feed re-reads what it doubts. So a broker never fails and never slows a write.
//! **Invariant:** a head is a level: of several unsent notices of one user only the newest is kept and sent, so what
//! waits is bounded by the number of users and, beyond a capacity, dropped and counted.
//! **Invariant:** whenever notices may have been missed the listener is told so: of everybody after a link was made,
//! made again or has lagged, of one user once their notices arrive from now on.
//! **Invariant:** no address, which may hold a password, reaches a log or an error.

mod address;
mod inbox;
mod interest;
mod link;
mod memory;
mod nats;
mod outbox;
mod postgres;
mod redis;
mod remote;
mod station;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnectOptions;

pub use self::{address::InvalidAddress, memory::Memory};
use self::{
    address::{Address, Kind},
    remote::Remote,
};
use crate::version::{Head, UserId};

/// That a user's head moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whose.
    pub user: UserId,
    /// To where.
    pub head: Head,
}

/// What a broker tells its listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A head moved, here or on another node.
    Notice(Notice),
    /// Notices may have been missed: re-read the heads of all watched users.
    Recheck,
    /// The notices of these users arrive from now on; those of a moment ago may have been missed: re-read their heads.
    RecheckUsers(Vec<UserId>),
}

/// Who is told. Called from the task that publishes or receives: it must not block.
pub type Listener = Arc<dyn Fn(Signal) + Send + Sync>;

/// Carries notices between nodes.
pub trait Broker: Send + Sync + 'static {
    /// Announces a head to every node, this one first and at once. Never blocks, never fails, never waits for a
    /// server: what cannot be sent is lost, and a recheck makes up for it.
    fn publish(&self, notice: Notice);

    /// Names who is told on this node, and starts. Called once, before the first publish, within a Tokio runtime.
    fn listen(&self, listener: Listener);

    /// Asks for a user's notices from other nodes. Returns at once; when they arrive, the listener is told to re-read
    /// the user.
    ///
    /// Calls are counted, so that a `watch` and an `unwatch` of one user that race each other come out the same in
    /// either order: the user is wanted as long as there were more of the first.
    fn watch(&self, user: &UserId);

    /// Takes one [`Broker::watch`] back.
    fn unwatch(&self, user: &UserId);

    /// Sends what is still unsent, within a bounded time, and closes the link. Publish nothing after it.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// How long a link may take, and how often it is looked after.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long a server may take to connect or to answer before it counts as dead.
    pub patience: Duration,
    /// How often a server is asked whether it lives. One that froze without closing its connections is noticed
    /// after at most this and [`Timing::patience`].
    pub probe: Duration,
    /// The first pause before connecting again; each further one is twice as long, give or take, up to
    /// [`Timing::longest_pause`].
    pub first_pause: Duration,
    /// The longest pause before connecting again.
    pub longest_pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            probe: Duration::from_secs(5),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Makes the broker that an address names. Connects to nothing yet: a server that is down delays no start.
///
/// | address | what |
/// |---|---|
/// | `memory:` | none: this node is alone |
/// | `postgres:` | the server of `database` |
/// | `postgres://user:password@host/name` | another PostgreSQL, or another way to the same |
/// | `redis://user:password@host:6379` | one Redis (`rediss:` for TLS) |
/// | `redis+sentinel://user:password@host:26379,host:26379/master` | the Redis that Sentinels name |
/// | `redis+cluster://user:password@host:6379,host:6379` | Redis Cluster |
/// | `nats://user:password@host:4222,host:4222` | NATS (`tls:` for TLS) |
///
/// Options follow a `?`: `prefix` of channel names, for several installations on one server (`library-sync`);
/// `credentials`, the path of a NATS credentials file; `sentinel_user` and `sentinel_password`; and `lose`, the
/// percentage of received notices to drop, to try out that nothing depends on them.
///
/// # Errors
/// When the address is malformed or of no known kind.
pub fn open(
    address: &str,
    database: Option<&PgConnectOptions>,
    timing: Timing,
) -> Result<Arc<dyn Broker>, InvalidAddress> {
    let address = Address::parse(address)?;
    Ok(match address.kind {
        Kind::Memory => Arc::new(Memory::default()),
        Kind::Postgres => {
            let route = postgres::Route::new(&address, database, &timing)?;
            Arc::new(Remote::new("postgres", route, &address, timing))
        }
        Kind::Redis => {
            let route = redis::Route::server(&address)?;
            Arc::new(Remote::new("redis", route, &address, timing))
        }
        Kind::RedisSentinel => {
            let route = redis::Route::sentinel(&address)?;
            Arc::new(Remote::new("redis", route, &address, timing))
        }
        Kind::RedisCluster => Arc::new(redis::Cluster::new(&address, timing)?),
        Kind::Nats => {
            let route = nats::Route::new(&address, &timing)?;
            Arc::new(Remote::new("nats", route, &address, timing))
        }
    })
}
