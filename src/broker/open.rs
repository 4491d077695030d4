//! From `--broker-url` to a broker.

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;

use super::{
    address::{Address, InvalidAddress, Kind},
    memory::Memory,
    nats,
    notice::Broker,
    postgres,
    redis::{cluster::Cluster, server},
    single_server::SingleServer,
    timing::Timing,
};

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
            Arc::new(SingleServer::new("postgres", route, &address, timing))
        }
        Kind::Redis => {
            let route = server::Route::server(&address)?;
            Arc::new(SingleServer::new("redis", route, &address, timing))
        }
        Kind::RedisSentinel => {
            let route = server::Route::sentinel(&address)?;
            Arc::new(SingleServer::new("redis", route, &address, timing))
        }
        Kind::RedisCluster => Arc::new(Cluster::new(&address, timing)?),
        Kind::Nats => {
            let route = nats::Route::new(&address, &timing)?;
            Arc::new(SingleServer::new("nats", route, &address, timing))
        }
    })
}
