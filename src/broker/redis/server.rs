//! Notices over one Redis-compatible server: a single server, the master that Sentinel reports, or a shard of a cluster.
//!
//! Each user has a channel, and a node subscribes to the users that it watches. Sharded channels (Redis 7) are used if the
//! server has them: in a cluster, they stay on one shard, while plain channels are broadcast to all shards. A link is up
//! only after its echo ([`echo`]).
//!
//! **Invariant:** notices, subscriptions and health checks share one connection, so a successful health check proves that
//! notices can arrive. (A subscriber alone does not detect a server that hangs.)
//! **Invariant:** each command has one channel and so one reply, because the client library matches replies by count.

use std::sync::{Arc, atomic::Ordering};

use redis::{Client, PushInfo, aio::MultiplexedConnection};

use super::{
    client::{client, without_timeouts},
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

/// Connects to one Redis server.
pub(in crate::broker) struct Route {
    pub(super) server: Server,
    pub(super) prefix: String,
}

/// How to find the server.
pub(super) enum Server {
    /// A fixed address.
    Fixed(Client),
    /// The current master.
    Master(Sentinels),
}

impl Route {
    /// Returns the route to the single server of an address.
    pub fn server(address: &Address) -> Result<Self, InvalidAddress> {
        let [server] = address.servers.as_slice() else {
            return Err(InvalidAddress::NoServer);
        };
        Ok(Self {
            server: Server::Fixed(client(server)?),
            prefix: address.options.prefix().to_owned(),
        })
    }

    /// Returns the route to the master that the Sentinels of an address report.
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
            .get_multiplexed_async_connection_with_config(&without_timeouts().set_push_sender(take))
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
