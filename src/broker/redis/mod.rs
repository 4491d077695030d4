//! Notices by Redis, or what speaks its protocol: one server, the master that Sentinels name, or one shard of a cluster.
//!
//! Each user has a channel, and a node subscribes to those it watches. Where the server has sharded channels (Redis 7)
//! they are used, which in a cluster stay on one shard; otherwise plain ones, which a cluster carries to all.
//! A link counts as up only once it has received a message of its own ([`echo`]).
//!
//! **Invariant:** notices, subscriptions and probes share one connection, so a probe that is answered shows that
//! notices would arrive. (Of a server that froze, a subscriber notices nothing by itself.)
//! **Invariant:** each command has one channel and so one reply: the client library tells replies apart by counting.

mod cluster;
mod echo;
mod sentinel;
mod slots;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(super) use self::cluster::Cluster;
use self::{echo::Commands, sentinel::Sentinels};
use super::{
    InvalidAddress, Notice,
    address::Address,
    inbox::{Inbox, encode},
    link::{self, Fault, channel},
};
use crate::version::UserId;

/// The way to one Redis server.
pub(super) struct Route {
    server: Server,
    prefix: String,
}

/// Which server.
enum Server {
    /// This one.
    Fixed(Client),
    /// The one that is master now.
    Master(Sentinels),
}

impl Route {
    /// The way to the one server of an address.
    pub fn server(address: &Address) -> Result<Self, InvalidAddress> {
        let [server] = address.servers.as_slice() else {
            return Err(InvalidAddress::NoServer);
        };
        Ok(Self {
            server: Server::Fixed(client(server)?),
            prefix: address.options.prefix().to_owned(),
        })
    }

    /// The way to the master that the servers of an address name.
    pub fn sentinel(address: &Address) -> Result<Self, InvalidAddress> {
        Ok(Self {
            server: Server::Master(Sentinels::new(address)?),
            prefix: address.options.prefix().to_owned(),
        })
    }
}

/// What connects to `url`.
fn client(url: &Url) -> Result<Client, InvalidAddress> {
    Client::open(connection_info(url)?).map_err(|error| refused(&error))
}

/// How to connect to `url`: with RESP3, the version in which one connection can publish and subscribe.
fn connection_info(url: &Url) -> Result<ConnectionInfo, InvalidAddress> {
    let info = url.clone().into_connection_info();
    let info = info.map_err(|error| refused(&error))?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("library-sync", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(settings))
}

fn refused(error: &RedisError) -> InvalidAddress {
    InvalidAddress::Refused(error.to_string())
}

/// Settings without deadlines of the client library's own: the station has them.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

impl link::Route for Route {
    type Link = Link;

    const SELECTIVE: bool = true;

    async fn connect(&self, inbox: &Arc<Inbox>) -> Result<Link, Fault> {
        match &self.server {
            Server::Fixed(client) => Link::connect(client, &self.prefix, inbox).await,
            Server::Master(sentinels) => {
                let master = sentinels.master().await?;
                Link::connect(&master, &self.prefix, inbox).await
            }
        }
    }
}

/// A connection to a server.
pub(super) struct Link {
    connection: MultiplexedConnection,
    commands: Commands,
    prefix: String,
    events: Arc<Events>,
}

/// What a connection tells on its own.
#[derive(Default)]
struct Events {
    ended: CancellationToken,
    /// How many of our unsubscriptions the server has not confirmed.
    leaving: AtomicUsize,
    /// The channel on which this connection sends itself a message, and whether the message has come.
    echo: OnceLock<String>,
    echoed: Notify,
}

impl Events {
    fn take(&self, push: &PushInfo, inbox: &Inbox) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => match push.data.as_slice() {
                [Value::BulkString(channel), ..] if self.is_echo(channel) => {
                    self.echoed.notify_one();
                }
                [_, Value::BulkString(notice), ..] => inbox.receive(notice),
                _ => {}
            },
            // A cluster ends subscriptions of its own accord when their slot moves to another shard.
            PushKind::Unsubscribe | PushKind::SUnsubscribe if !self.has_left() => {
                self.ended.cancel();
            }
            PushKind::Disconnection => self.ended.cancel(),
            _ => {}
        }
    }

    fn is_echo(&self, channel: &[u8]) -> bool {
        self.echo
            .get()
            .is_some_and(|echo| echo.as_bytes() == channel)
    }

    /// Says that a confirmation that comes will be of our own unsubscription.
    fn expect_unsubscription(&self) {
        self.leaving.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the confirmation of an unsubscription is one of ours.
    fn has_left(&self) -> bool {
        let one_less = |leaving: usize| leaving.checked_sub(1);
        self.leaving
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }
}

impl Link {
    async fn connect(client: &Client, prefix: &str, inbox: &Arc<Inbox>) -> Result<Self, Fault> {
        let events = Arc::new(Events::default());
        let take = {
            let (events, inbox) = (Arc::clone(&events), Arc::clone(inbox));
            move |push: PushInfo| {
                events.take(&push, &inbox);
                Ok::<_, Fault>(())
            }
        };
        let connection = client
            .get_multiplexed_async_connection_with_config(&patient().set_push_sender(take))
            .await?;
        let commands = echo::hear(connection.clone(), prefix, &events).await?;
        Ok(Self {
            connection,
            commands,
            prefix: prefix.to_owned(),
            events,
        })
    }

    fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    async fn for_each(&self, command: &str, users: &[UserId]) -> Result<(), Fault> {
        let mut pipe = redis::pipe();
        for user in users {
            let channel = channel(&self.prefix, ':', user);
            pipe.cmd(command).arg(channel).ignore();
        }
        Ok(pipe.exec_async(&mut self.connection()).await?)
    }
}

impl link::Link for Link {
    async fn publish(&self, notices: &[Notice]) -> Result<(), Fault> {
        let mut pipe = redis::pipe();
        for notice in notices {
            let channel = channel(&self.prefix, ':', &notice.user);
            pipe.cmd(self.commands.publish)
                .arg(channel)
                .arg(encode(notice))
                .ignore();
        }
        Ok(pipe.exec_async(&mut self.connection()).await?)
    }

    async fn subscribe(&self, users: &[UserId]) -> Result<(), Fault> {
        self.for_each(self.commands.subscribe, users).await
    }

    async fn unsubscribe(&self, users: &[UserId]) -> Result<(), Fault> {
        self.events
            .leaving
            .fetch_add(users.len(), Ordering::Relaxed);
        self.for_each(self.commands.unsubscribe, users).await
    }

    async fn probe(&self) -> Result<(), Fault> {
        let ping = redis::cmd("PING");
        Ok(ping.exec_async(&mut self.connection()).await?)
    }

    async fn ended(&self) -> Fault {
        self.events.ended.cancelled().await;
        "the connection ended".into()
    }
}
