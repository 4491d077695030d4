//! Which Redis server is master now, as its Sentinels see it.

use std::time::Duration;

use redis::{Client, Value, aio::MultiplexedConnection};
use tokio::time::timeout;
use url::Url;

use super::{client, patient};
use crate::broker::{InvalidAddress, Timing, address::Address, link::Fault};

/// The Sentinels of one master.
pub(super) struct Sentinels {
    servers: Vec<Client>,
    name: String,
    /// The master's address but for host and port.
    master: Url,
    patience: Duration,
}

impl Sentinels {
    /// The servers of an address, whose path is the master's name and whose user is the master's.
    pub fn new(address: &Address, timing: &Timing) -> Result<Self, InvalidAddress> {
        let Some(master) = address.servers.first() else {
            return Err(InvalidAddress::NoServer);
        };
        let name = master.path().trim_matches('/').to_owned();
        if name.is_empty() {
            return Err(InvalidAddress::NoMaster);
        }
        let sentinel = |server: &Url| {
            let mut url = server.clone();
            url.set_path("");
            let options = &address.options;
            let user = options.sentinel_user.as_deref().unwrap_or_default();
            let set = url
                .set_username(user)
                .and_then(|()| url.set_password(options.sentinel_password.as_deref()));
            set.map_err(|()| InvalidAddress::NoServer)?;
            client(&url)
        };
        let mut template = master.clone();
        template.set_path("");
        Ok(Self {
            servers: address
                .servers
                .iter()
                .map(sentinel)
                .collect::<Result<_, _>>()?,
            name,
            master: template,
            // Several are asked, one after the other, within the patience for the whole.
            patience: timing.patience / (2 * u32::try_from(address.servers.len()).unwrap_or(1)),
        })
    }

    /// Asks one Sentinel after the other.
    pub async fn master(&self) -> Result<Client, Fault> {
        let mut fault = Fault::from("no sentinel is named");
        for sentinel in &self.servers {
            match timeout(self.patience, self.ask(sentinel)).await {
                Ok(Ok(master)) => return Ok(master),
                Ok(Err(error)) => fault = error,
                Err(_) => fault = "no sentinel answers".into(),
            }
        }
        Err(fault)
    }

    async fn ask(&self, sentinel: &Client) -> Result<Client, Fault> {
        let mut sentinel = sentinel
            .get_multiplexed_async_connection_with_config(&patient())
            .await?;
        let address: Option<(String, u16)> = redis::cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.name)
            .query_async(&mut sentinel)
            .await?;
        let (host, port) = address.ok_or("the sentinel knows no master of that name")?;
        let master = at(&self.master, &host, port).ok_or("the sentinel names no host")?;
        Ok(client(&master)?)
    }
}

/// The same address at another host.
pub(super) fn at(url: &Url, host: &str, port: u16) -> Option<Url> {
    let mut url = url.clone();
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    url.set_host(Some(&host)).ok()?;
    url.set_port(Some(port)).ok()?;
    Some(url)
}

/// Checks that a server holds itself to be a master: a Sentinel may name one for a moment that is none any more.
pub(super) async fn check_master(mut connection: MultiplexedConnection) -> Result<(), Fault> {
    let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
    match role.first() {
        Some(Value::BulkString(role)) if role == b"master" => Ok(()),
        _ => Err("the server that the sentinels name is no master".into()),
    }
}
