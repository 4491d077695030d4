//! HTTP settings.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, builder::TypedValueParser as _};

use super::secret::Secret;
use crate::{
    duration::{parse_period, parse_wait},
    http::RateLimits,
};

/// HTTP settings.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub struct Http {
    /// Address and port to listen on.
    #[arg(
        long,
        env,
        default_value = "127.0.0.1:4000",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
    /// Separate address for /healthz, /readyz and /metrics, which then answer even when clients use all connections.
    /// /metrics is then served on this address only.
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub ops_listen: Option<SocketAddr>,
    /// Do not run database migrations at startup.
    #[arg(long, env)]
    pub no_migrate: bool,
    /// Serve the playground at /playground.
    #[arg(long, env)]
    pub playground: bool,
    /// Token of operators, at least 32 characters. It serves the operator's page at /admin, on `--ops-listen` if that is
    /// set. See docs/admin.md. Without it, the page does not exist.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "TOKEN"
    )]
    pub admin_token: Option<Secret>,
    /// Serve the files of this folder at /, such as a built web app. It must contain an index.html.
    #[arg(long, env, value_name = "FOLDER", value_parser = parse_static_dir)]
    pub static_dir: Option<PathBuf>,
    /// Maximum size of a request body, and of a WebSocket message after connection_ack, in bytes.
    #[arg(long, env, default_value_t = 2 << 20, value_name = "BYTES")]
    pub max_body: usize,
    /// Time limit for a client to send a request body.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub body_timeout: Duration,
    /// Maximum number of GraphQL operations in one HTTP request. 0 disables batching.
    #[arg(long, env, default_value_t = 0, value_name = "COUNT")]
    pub max_batch: usize,
    /// Number of GraphQL documents to keep for Apollo's automatic persisted queries, in which a client sends the hash of a
    /// document. 0 disables them.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub persisted_documents: usize,
    /// JSON file of trusted GraphQL documents by id: `{"id": "query ..."}`. A client may send the id of a document.
    #[arg(long, env, value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,
    /// Refuse all GraphQL documents that are not in `--trusted-documents`.
    #[arg(long, env, requires = "trusted_documents")]
    pub only_trusted_documents: bool,
    /// Rate limits.
    #[command(flatten)]
    pub rate: RateLimits,
    /// Maximum number of connections. It is lowered if the limit of open files, which the server raises as far as the
    /// system permits, does not leave enough files for the server itself. When all are in use, a new connection evicts
    /// the oldest unauthenticated one. If all are authenticated, only health checks are answered.
    #[arg(
        long,
        env,
        default_value_t = 100_000,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000).map(|count| count as usize)
    )]
    pub max_connections: usize,
    /// Maximum number of connections from one address, or from one /64 network of IPv6. 0 for no limit. By default half
    /// of `--max-connections`, and no limit with `--client-address-header`, because proxies then open the connections.
    #[arg(long, env, value_name = "COUNT")]
    pub max_connections_per_address: Option<usize>,
    /// Time limit for a client to begin its first request, and to send the header of a request that has begun.
    #[arg(long, env, default_value = "10s", value_name = "DURATION", value_parser = parse_period)]
    pub header_timeout: Duration,
    /// Keep-alive timeout: how long an idle connection stays open between requests. Must exceed the keep-alive timeout of
    /// your proxy, which otherwise may send a request on a connection that is being closed.
    #[arg(long, env, default_value = "75s", value_name = "DURATION", value_parser = parse_period)]
    pub idle_timeout: Duration,
    /// After SIGTERM, keep serving this long while /readyz returns 503. Must exceed the load balancer's detection time.
    #[arg(long, env, default_value = "0s", value_name = "DURATION", value_parser = parse_wait)]
    pub shutdown_delay: Duration,
    /// Time limit for in-flight requests to finish after `--shutdown-delay`.
    #[arg(long, env, default_value = "15s", value_name = "DURATION", value_parser = parse_wait)]
    pub shutdown_grace: Duration,
}

/// Accepts a folder that holds a page.
fn parse_static_dir(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    let page = folder.join("index.html");
    match page.metadata() {
        Ok(found) if found.is_file() => Ok(folder),
        Ok(_) => Err(format!("{} is not a file", page.display())),
        Err(error) => Err(format!("cannot read {}: {error}", page.display())),
    }
}
