//! Settings of the Redis client for a connection that publishes and subscribes.

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion,
    RedisError,
};
use url::Url;

use crate::broker::address::InvalidAddress;

/// Creates a client of `url`.
pub(super) fn client(url: &Url) -> Result<Client, InvalidAddress> {
    Client::open(connection_info(url)?).map_err(|error| refused(&error))
}

/// Returns the connection settings of `url`, with RESP3. Only RESP3 lets one connection publish and subscribe.
pub(super) fn connection_info(url: &Url) -> Result<ConnectionInfo, InvalidAddress> {
    let info = url.clone().into_connection_info();
    let info = info.map_err(|error| refused(&error))?;
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("library-sync", env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(settings))
}

pub(super) fn refused(error: &RedisError) -> InvalidAddress {
    InvalidAddress::Refused(error.to_string())
}

/// Returns settings without the client library's timeouts, because the supervisor enforces timeouts.
pub(super) fn without_timeouts() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}
