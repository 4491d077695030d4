//! Notices by Redis, or what speaks its protocol: one server, the master that Sentinels name, or one shard of a cluster.
//!
//! Each user has a channel, and a node subscribes to those it watches. Where the server has sharded channels (Redis 7)
//! they are used, which in a cluster stay on one shard; otherwise plain ones, which a cluster carries to all.
//! A link counts as up only once it has received a message of its own ([`echo`]).
//!
//! **Invariant:** notices, subscriptions and probes share one connection, so a probe that is answered shows that
//! notices would arrive. (Of a server that froze, a subscriber notices nothing by itself.)
//! **Invariant:** each command has one channel and so one reply: the client library tells replies apart by counting.

use std::sync::{Arc, atomic::Ordering};

use redis::{Client, PushInfo, aio::MultiplexedConnection};

use super::{
    client::{client, patient},
    echo::{self, Commands},
    events::Events,
    sentinel::Sentinels,
};
use crate::{
    broker::{
        address::{Address, InvalidAddress},
        connection::{self, Fault, channel},
        inbox::{Inbox, encode},
        notice::Notice,
    },
    version::UserId,
};

/// The way to one Redis server.
pub(in crate::broker) struct Route {
    pub(super) server: Server,
    pub(super) prefix: String,
}

/// Which server.
pub(super) enum Server {
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

impl connection::Route for Route {
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
pub(in crate::broker) struct Link {
    connection: MultiplexedConnection,
    commands: Commands,
    prefix: String,
    events: Arc<Events>,
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

impl connection::Link for Link {
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
