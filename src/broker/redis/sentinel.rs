//! The current Redis master, as Sentinel reports it.

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
    /// Keeps connections to the Sentinels.
    sentinel: Mutex<Sentinel>,
    name: String,
    /// Connection settings of the master, without its address.
    master: SentinelNodeConnectionInfo,
}

impl Sentinels {
    /// Creates the Sentinels of an address. Its path is the name of the master, and its login is for the master.
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

    /// Returns a client of the master. Also checks the role of that server, because a Sentinel may report the old master
    /// shortly after a failover.
    pub async fn master(&self) -> Result<Client, Fault> {
        let mut sentinel = self.sentinel.lock().await;
        let master = sentinel.async_master_for(&self.name, Some(&self.master));
        Ok(master.await?)
    }
}
