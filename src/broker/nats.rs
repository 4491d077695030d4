//! Notices by NATS: each user has a subject, and a node subscribes to those it watches.
//!
//! The client library would reconnect by itself; it is not let, so that one way to recover serves all brokers. A
//! subscription costs about 5 kB of memory, most of it the library's.
//!
//! In a cluster of NATS servers, interest travels from server to server: for the moment that takes, a subscription that
//! was echoed by its own server may miss what another took. The periodic recheck covers that.
//!
//! **Invariant:** connecting, publishing, subscribing and probing each end in an echo, a message to this link itself: a
//! server reads a connection in order, so by then it has taken what came before. (The library's `flush` says only that
//! the bytes have left this process.)
//! **Invariant:** a link whose server refuses a subject ends, with the server's reason. The echo's subject has the form
//! of a user's, so permissions that are too narrow leave the link down instead of up and silent.

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

/// How many notices of one user may wait to be taken. Taking one never blocks, so few do.
const WAITING: usize = 64;

/// The way to a NATS server or cluster.
pub(super) struct Route {
    servers: Vec<ServerAddr>,
    login: Login,
    pub(super) prefix: String,
    patience: Duration,
}

/// What proves who we are.
enum Login {
    Nothing,
    Token(String),
    Password(String, String),
    Credentials(PathBuf),
}

impl Route {
    /// The way to the servers of an address.
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
            // As few as can be said (0 means any number): one round of the servers, at the first connect and before a
            // lost connection is let go.
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

/// The address without its login, which the client library would log at level `debug`.
fn without_login(server: &Url) -> Result<ServerAddr, InvalidAddress> {
    let mut url = server.clone();
    let bared = url.set_password(None).and_then(|()| url.set_username(""));
    bared.map_err(|()| InvalidAddress::NoServer)?;
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
                    // It threw notices away.
                    Event::SlowConsumer(_) => inbox.tell(Signal::Recheck),
                    _ => {}
                }
                std::future::ready(())
            }
        };
        let options = self.options().await?.event_callback(on_event);
        let client = options.connect(self.servers.as_slice()).await?;
        // `~` occurs in no user's subject.
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
    /// The task that takes each user's notices, which unsubscribes when it is dropped.
    subscriptions: Mutex<HashMap<UserId, AbortOnDropHandle<()>>>,
    echo: String,
    /// The echoes, and how many were sent.
    echoes: tokio::sync::Mutex<(Subscriber, u64)>,
    ended: CancellationToken,
    /// What the server did not permit.
    refused: Arc<OnceLock<String>>,
}

impl Link {
    fn subject(&self, user: &UserId) -> String {
        channel(&self.prefix, '.', user)
    }

    /// Waits until the server has taken all that was sent.
    async fn hear_echo(&self) -> Result<(), Fault> {
        let mut echoes = self.echoes.lock().await;
        let (echoes, sent) = &mut *echoes;
        *sent += 1;
        let number = sent.to_string();
        self.client
            .publish(self.echo.clone(), number.clone().into())
            .await?;
        while let Some(echo) = echoes.next().await {
            // An earlier one is the answer to a call that was given up.
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
                "the NATS user may not exchange notices: permit publish and subscribe on {}.* ({reason})",
                self.prefix
            )
            .into(),
            None => "the connection ended".into(),
        }
    }
}
