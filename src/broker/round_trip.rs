//! One notice from one connection to another over the server of a broker, for `library-sync doctor`.
//!
//! **Invariant:** the notice names a user that no node watches. Over PostgreSQL, where every node receives every notice, it
//! has its own channel.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    address::{Address, InvalidAddress, Kind},
    connection::{Fault, Link as _, Route},
    inbox::Inbox,
    nats,
    notice::{Notice, Signal},
    postgres,
    redis::{cluster::Cluster, server},
    timing::Timing,
};
use crate::version::{Epoch, Head, UserId, Version};

/// The channel of a round trip over PostgreSQL.
const CHANNEL: &str = "library-sync-doctor";

/// Why a notice does not pass a broker.
#[derive(Debug, thiserror::Error)]
pub enum RoundTripError {
    /// The address is invalid.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The server cannot be reached, or refuses.
    #[error(transparent)]
    Fault(Fault),
}

impl From<Fault> for RoundTripError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Sends a notice over the broker of an address and waits for it. Returns the time of each path: one, or one for each shard
/// of a Redis Cluster; none for `memory:`.
///
/// # Errors
/// When the address is invalid, the server does not answer, or permissions are missing. The caller limits the time.
pub async fn round_trips(
    address: &str,
    database: Option<&PgConnectOptions>,
) -> Result<Vec<Duration>, RoundTripError> {
    let mut address = Address::parse(address)?;
    let timing = Timing::default();
    let any = || Some(any_user());
    let time = match address.kind {
        Kind::Memory => return Ok(Vec::new()),
        Kind::Postgres => {
            address.options.prefix = Some(CHANNEL.to_owned());
            pass(postgres::Route::new(&address, database, &timing)?, any).await?
        }
        Kind::Redis => pass(server::Route::server(&address)?, any).await?,
        Kind::RedisSentinel => pass(server::Route::sentinel(&address)?, any).await?,
        Kind::Nats => pass(nats::Route::new(&address, &timing)?, any).await?,
        Kind::RedisCluster => {
            let mut times = Vec::new();
            for shard in Cluster::new(&address, timing)?.routes().await? {
                let user = || std::iter::repeat_with(any_user).find(|user| shard.owns(user));
                times.push(pass(shard.master_route(), user).await?);
            }
            return Ok(times);
        }
    };
    Ok(vec![time])
}

/// Sends a notice over one connection, and waits for it on another.
async fn pass<R: Route>(route: R, user: impl Fn() -> Option<UserId>) -> Result<Duration, Fault> {
    let user = user().ok_or("no user belongs to this shard")?;
    let (inbox, arrival) = (Arc::new(Inbox::new("doctor", 0)), Arc::new(Notify::new()));
    let (awaited, arrived) = (user.clone(), Arc::clone(&arrival));
    inbox.listen(Arc::new(move |signal| {
        if matches!(signal, Signal::Notice(notice) if notice.user == awaited) {
            arrived.notify_one();
        }
    }));
    let receiver = route.connect(&inbox).await?;
    let sender = route.connect(&Arc::new(Inbox::new("doctor", 0))).await?;
    if R::SELECTIVE {
        receiver.subscribe(std::slice::from_ref(&user)).await?;
    }
    let head = Head {
        epoch: Epoch::new(0),
        version: Version::FIRST,
    };
    let began = Instant::now();
    let passed = async {
        sender.publish(&[Notice::new(user, head)]).await?;
        tokio::select! {
            () = arrival.notified() => Ok(began.elapsed()),
            fault = receiver.ended() => Err(fault),
        }
    };
    let time = passed.await?;
    receiver.close().await;
    sender.close().await;
    Ok(time)
}

fn any_user() -> UserId {
    #[expect(clippy::expect_used, reason = "a UUID is a valid user id")]
    UserId::new(&format!("doctor-{}", Uuid::now_v7())).expect("a valid user id")
}
