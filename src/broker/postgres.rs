//! Notices over PostgreSQL's LISTEN and NOTIFY, without another server.
//!
//! One channel serves all users. Every node receives every notice, and its hub ignores users that it does not watch. So a
//! node's load grows with the changes of all users. A transaction with NOTIFY takes a lock of the whole database server
//! during its commit. Therefore no mutation notifies: one task per node sends committed heads, many users per transaction.
//!
//! **Invariant:** a listener that loses its connection may lose notices, so it is never resumed: `Err`, `Ok(None)` and a
//! timeout all end the link.
//! **Invariant:** a link is up only after it has received its own notification.
//! **Invariant:** the broker has separate connections, so a busy pool of the library does not delay notices.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{sync::Mutex, time::timeout};
use uuid::Uuid;

use super::{
    address::{Address, InvalidAddress},
    connection::{self, Fault},
    inbox::{Inbox, encode},
    notice::Notice,
    timing::Timing,
};
use crate::version::UserId;

/// Timeout of the link's own notification.
const ECHO: Duration = Duration::from_secs(2);

/// Connects to a PostgreSQL server.
pub(super) struct Route {
    pub(super) server: PgConnectOptions,
    channel: String,
    timing: Timing,
}

impl Route {
    /// Returns the route to the server of the address, or of the database if it has none.
    pub fn new(
        address: &Address,
        database: Option<&PgConnectOptions>,
        timing: &Timing,
    ) -> Result<Self, InvalidAddress> {
        let server = address.postgres.as_ref().or(database);
        let server = server.ok_or(InvalidAddress::NotPostgres)?.clone();
        Ok(Self {
            server: server.application_name("library-sync broker"),
            channel: address.options.prefix().to_owned(),
            timing: timing.clone(),
        })
    }
}

impl connection::Route for Route {
    type Link = Link;

    const SELECTIVE: bool = false;

    async fn connect(&self, inbox: &Arc<Inbox>) -> Result<Link, Fault> {
        // sqlx 0.9: a pool reports a refused connection only as a timeout, so connect once without a pool.
        PgConnection::connect_with(&self.server)
            .await?
            .close()
            .await?;
        let connections = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(self.timing.patience)
            .test_before_acquire(false)
            .connect_with(self.server.clone())
            .await?;
        let mut listener = PgListener::connect_with(&connections).await?;
        listener.eager_reconnect(false);
        hear_echo(&mut listener, &connections).await?;
        listener.listen(&self.channel).await?;
        Ok(Link {
            connections,
            listener: Mutex::new(listener),
            channel: self.channel.clone(),
            inbox: Arc::clone(inbox),
            probe: self.timing.probe,
            patience: self.timing.patience,
        })
    }
}

/// Waits until the listener has received this link's own notification. A timeout means a pooler in between: PgBouncer in
/// transaction mode accepts LISTEN but delivers nothing.
async fn hear_echo(listener: &mut PgListener, connections: &PgPool) -> Result<(), Fault> {
    let echo = format!("echo-{}", Uuid::new_v4().simple());
    listener.listen(&echo).await?;
    let notify = sqlx::query("SELECT pg_notify($1, '')").bind(&echo);
    notify.execute(connections).await?;
    let heard = timeout(ECHO, listener.recv()).await;
    heard.map_err(|_| {
        "NOTIFY does not reach LISTEN: --broker-url must lead to PostgreSQL itself, not to a pooler in transaction mode"
    })??;
    listener.unlisten(&echo).await?;
    Ok(())
}

/// Two connections: one for LISTEN, one for NOTIFY.
pub(super) struct Link {
    connections: PgPool,
    listener: Mutex<PgListener>,
    channel: String,
    inbox: Arc<Inbox>,
    probe: Duration,
    patience: Duration,
}

impl connection::Link for Link {
    async fn publish(&self, notices: &[Notice]) -> Result<(), Fault> {
        // One notice per payload, which is limited to 8,000 bytes.
        let payloads: Vec<_> = notices.iter().map(encode).collect();
        sqlx::query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload")
            .bind(&self.channel)
            .bind(payloads)
            .execute(&self.connections)
            .await?;
        Ok(())
    }

    async fn subscribe(&self, _: &[UserId]) -> Result<(), Fault> {
        Ok(())
    }

    async fn unsubscribe(&self, _: &[UserId]) -> Result<(), Fault> {
        Ok(())
    }

    async fn probe(&self) -> Result<(), Fault> {
        sqlx::query("SELECT 1").execute(&self.connections).await?;
        Ok(())
    }

    async fn ended(&self) -> Fault {
        let mut listener = self.listener.lock().await;
        loop {
            match timeout(self.probe, listener.try_recv()).await {
                Ok(Ok(Some(notice))) => self.inbox.receive(notice.payload().as_bytes()),
                Ok(Ok(None)) => return "the listener lost its connection".into(),
                Ok(Err(error)) => return error.into(),
                // Without a notice for a while, check that the connection still works.
                Err(_) => {
                    let asked = sqlx::query("SELECT 1").execute(&mut *listener);
                    match timeout(self.patience, asked).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return error.into(),
                        Err(_) => return "the listener does not respond".into(),
                    }
                }
            }
        }
    }

    async fn close(self) {
        drop(self.listener);
        self.connections.close().await;
    }
}
