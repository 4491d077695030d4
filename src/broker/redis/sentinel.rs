//! Which Redis server is the master now, as its Sentinels report it.

use redis::{
    Client, ConnectionAddr, TlsMode,
    sentinel::{Sentinel, SentinelNodeConnectionInfo},
};
use tokio::sync::Mutex;
use url::Url;

use super::client::{connection_info, refused};
use crate::broker::{
    address::{Address, InvalidAddress},
    connection::Fault,
};

/// The Sentinels of one master.
pub(super) struct Sentinels {
    /// Keeps its connections to them.
    sentinel: Mutex<Sentinel>,
    name: String,
    /// How to connect to the master, apart from its address.
    master: SentinelNodeConnectionInfo,
}

impl Sentinels {
    /// The servers of an address, whose path is the master's name and whose user is the master's.
    pub fn new(address: &Address) -> Result<Self, InvalidAddress> {
        let mut master = address
            .servers
            .first()
            .cloned()
            .ok_or(InvalidAddress::NoServer)?;
        let name = master.path().trim_matches('/').to_owned();
        if name.is_empty() {
            return Err(InvalidAddress::NoMaster);
        }
        master.set_path("");
        let info = connection_info(&master)?;
        let mut master = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(info.redis_settings().clone());
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            master = master.set_tls_mode(TlsMode::Secure);
        }
        let sentinel = |server: &Url| {
            let mut url = server.clone();
            url.set_path("");
            let options = &address.options;
            url.set_username(options.sentinel_user.as_deref().unwrap_or_default())
                .and_then(|()| url.set_password(options.sentinel_password.as_deref()))
                .map_err(|()| InvalidAddress::NoServer)?;
            connection_info(&url)
        };
        let servers = address.servers.iter().map(sentinel);
        let sentinel = Sentinel::build(servers.collect::<Result<_, _>>()?);
        Ok(Self {
            sentinel: Mutex::new(sentinel.map_err(|error| refused(&error))?),
            name,
            master,
        })
    }

    /// Finds the master. The server that the Sentinels name is asked for its role, because for a moment after a failover
    /// a Sentinel may name the old one.
    pub async fn master(&self) -> Result<Client, Fault> {
        let mut sentinel = self.sentinel.lock().await;
        let master = sentinel.async_master_for(&self.name, Some(&self.master));
        Ok(master.await?)
    }
}
