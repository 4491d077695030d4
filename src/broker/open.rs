//! Creates the broker of `--broker-url`.

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

/// Creates the broker of an address. Does not connect, so an unavailable server does not delay startup.
///
/// | address | broker |
/// |---|---|
/// | `memory:` | none, for a single node |
/// | `postgres:` | the PostgreSQL server of `database` |
/// | `postgres://user:password@host/name` | another PostgreSQL server, or another address of the same |
/// | `redis://user:password@host:6379` | one Redis server (`rediss:` for TLS) |
/// | `redis+sentinel://user:password@host:26379,host:26379/master` | the master that Redis Sentinel reports |
/// | `redis+cluster://user:password@host:6379,host:6379` | Redis Cluster |
/// | `nats://user:password@host:4222,host:4222` | NATS (`tls:` for TLS) |
///
/// Options follow a `?`: `prefix` of channel names, for several installations on one server (default `library-sync`);
/// `credentials`, the path of a NATS credentials file; `sentinel_user` and `sentinel_password`; and `lose`, the percentage
/// of received notices to drop, for tests.
///
/// # Errors
/// When the address is invalid.
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
