//! Notices over NATS: each user has a subject, and a node subscribes to the users that it watches.
//!
//! The client library's reconnect is disabled, so that all brokers recover in the same way. A subscription takes about 5 kB
//! of memory, most of it in the library.
//!
//! In a NATS cluster, a subscription propagates from server to server. Until then, it may miss notices that another server
//! accepted. The periodic recheck compensates.
//!
//! **Invariant:** connecting, publishing, subscribing and health checks each end with an echo, which is a message to this
//! link. A server reads a connection in order, so it has then processed all earlier messages. (The library's `flush`
//! returns when the bytes have left this process.)
//! **Invariant:** a link ends with the server's reason when the server refuses a subject. The echo's subject has the form of
//! a user's subject, so insufficient permissions fail the link instead of losing notices silently.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError, Subscriber};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use url::Url;
use uuid::Uuid;

use super::{
    address::{Address, InvalidAddress},
    connection::{self, Fault, channel},
    inbox::{Inbox, encode},
    notice::{Notice, Signal},
    timing::Timing,
};
use crate::version::UserId;

/// Capacity of the queue of one subscription. The consumer never blocks, so few notices wait.
const WAITING: usize = 64;

/// Connects to a NATS server or cluster.
pub(super) struct Route {
    servers: Vec<ServerAddr>,
    login: Login,
    pub(super) prefix: String,
    patience: Duration,
}

/// Credentials.
enum Login {
    Nothing,
    Token(String),
    Password(String, String),
    Credentials(PathBuf),
}

impl Route {
    /// Returns the route to the servers of an address.
    pub fn new(address: &Address, timing: &Timing) -> Result<Self, InvalidAddress> {
        Ok(Self {
            servers: address
                .servers
                .iter()
                .map(without_login)
                .collect::<Result<_, _>>()?,
            login: login(address)?,
            prefix: address.options.prefix().to_owned(),
            patience: timing.patience,
        })
    }

    async fn options(&self) -> Result<ConnectOptions, Fault> {
        let options = ConnectOptions::new()
            .name("library-sync")
            .connection_timeout(self.patience)
            .subscription_capacity(WAITING)
            // The minimum, because 0 means unlimited: one attempt per server, at the first connect and after a loss.
            .max_reconnects(self.servers.len())
            .reconnect_delay_callback(|_| Duration::ZERO);
        Ok(match &self.login {
            Login::Nothing => options,
            Login::Token(token) => options.token(token.clone()),
            Login::Password(user, password) => {
                options.user_and_password(user.clone(), password.clone())
            }
            Login::Credentials(path) => options.credentials_file(path).await?,
        })
    }
}

/// Returns the address without its login, which the client library logs at level `debug`.
fn without_login(server: &Url) -> Result<ServerAddr, InvalidAddress> {
    let mut url = server.clone();
    let bare = url.set_password(None).and_then(|()| url.set_username(""));
    bare.map_err(|()| InvalidAddress::NoServer)?;
    ServerAddr::from_url(url).map_err(|error| InvalidAddress::Refused(error.to_string()))
}

fn login(address: &Address) -> Result<Login, InvalidAddress> {
    if let Some(path) = &address.options.credentials {
        return Ok(Login::Credentials(path.clone()));
    }
    let decoded = |text| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(error) => Err(InvalidAddress::Refused(error.to_string())),
    };
    let server = address.servers.first().ok_or(InvalidAddress::NoServer)?;
    Ok(match (server.username(), server.password()) {
        ("", _) => Login::Nothing,
        (token, None) => Login::Token(decoded(token)?),
        (user, Some(password)) => Login::Password(decoded(user)?, decoded(password)?),
    })
}

impl connection::Route for Route {
    type Link = Link;

    const SELECTIVE: bool = true;

    async fn connect(&self, inbox: &Arc<Inbox>) -> Result<Link, Fault> {
        let ended = CancellationToken::new();
        let refused = Arc::new(OnceLock::new());
        let on_event = {
            let (ended, inbox) = (ended.clone(), Arc::clone(inbox));
            let refused = Arc::clone(&refused);
            move |event| {
                match event {
                    Event::Disconnected | Event::Closed => ended.cancel(),
                    Event::ServerError(ServerError::Other(reason)) if is_permission(&reason) => {
                        let _ = refused.set(reason);
                        ended.cancel();
                    }
                    // The client library dropped notices.
                    Event::SlowConsumer(_) => inbox.deliver(Signal::Recheck),
                    _ => {}
                }
                std::future::ready(())
            }
        };
        let options = self.options().await?.event_callback(on_event);
        let client = options.connect(self.servers.as_slice()).await?;
        // A user's subject never contains `~`.
        let echo = format!("{}.~{}", self.prefix, Uuid::new_v4().simple());
        let echoes = client.subscribe(echo.clone()).await?;
        let link = Link {
            client,
            prefix: self.prefix.clone(),
            inbox: Arc::clone(inbox),
            subscriptions: Mutex::default(),
            echo,
            echoes: tokio::sync::Mutex::new((echoes, 0)),
            ended,
            refused,
        };
        tokio::select! {
            heard = link.hear_echo() => heard?,
            fault = connection::Link::ended(&link) => return Err(fault),
        }
        Ok(link)
    }
}

fn is_permission(reason: &str) -> bool {
    reason.to_lowercase().starts_with("permissions violation")
}

/// A connection to a server.
pub(super) struct Link {
    client: Client,
    prefix: String,
    inbox: Arc<Inbox>,
    /// The task that receives each user's notices. Dropping it unsubscribes.
    subscriptions: Mutex<HashMap<UserId, AbortOnDropHandle<()>>>,
    echo: String,
    /// The received echoes, and the number of sent ones.
    echoes: tokio::sync::Mutex<(Subscriber, u64)>,
    ended: CancellationToken,
    /// Permission error of the server.
    refused: Arc<OnceLock<String>>,
}

impl Link {
    fn subject(&self, user: &UserId) -> String {
        channel(&self.prefix, '.', user)
    }

    /// Waits until the server has processed all sent messages.
    async fn hear_echo(&self) -> Result<(), Fault> {
        let mut echoes = self.echoes.lock().await;
        let (echoes, sent) = &mut *echoes;
        *sent += 1;
        let number = sent.to_string();
        self.client
            .publish(self.echo.clone(), number.clone().into())
            .await?;
        while let Some(echo) = echoes.next().await {
            // An earlier number belongs to a call that timed out.
            if echo.payload == number {
                return Ok(());
            }
        }
        Err("the connection ended".into())
    }
}

impl connection::Link for Link {
    async fn publish(&self, notices: &[Notice]) -> Result<(), Fault> {
        for notice in notices {
            let subject = self.subject(&notice.user);
            self.client.publish(subject, encode(notice).into()).await?;
        }
        self.hear_echo().await
    }

    async fn subscribe(&self, users: &[UserId]) -> Result<(), Fault> {
        for user in users {
            let mut notices = self.client.subscribe(self.subject(user)).await?;
            let inbox = Arc::clone(&self.inbox);
            let taking = tokio::spawn(async move {
                while let Some(notice) = notices.next().await {
                    inbox.receive(&notice.payload);
                }
            });
            let taking = AbortOnDropHandle::new(taking);
            self.subscriptions.lock().insert(user.clone(), taking);
        }
        self.hear_echo().await
    }

    async fn unsubscribe(&self, users: &[UserId]) -> Result<(), Fault> {
        let mut subscriptions = self.subscriptions.lock();
        for user in users {
            subscriptions.remove(user);
        }
        Ok(())
    }

    async fn probe(&self) -> Result<(), Fault> {
        self.hear_echo().await
    }

    async fn ended(&self) -> Fault {
        self.ended.cancelled().await;
        match self.refused.get() {
            Some(reason) => format!(
                "the NATS user lacks permissions: permit publish and subscribe on {}.* ({reason})",
                self.prefix
            )
            .into(),
            None => "the connection ended".into(),
        }
    }
}
