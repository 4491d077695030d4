//! Where and how to serve.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::HeaderName;
use clap::{Args, builder::TypedValueParser as _};
use humantime::parse_duration;

use super::period::parse_period;

/// Where and how to serve.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub struct Http {
    /// Where to listen.
    #[arg(
        long,
        env,
        default_value = "127.0.0.1:4000",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
    /// Where to serve /healthz, /readyz and /metrics apart from clients, so that they can be asked for however many
    /// connections clients have open. /metrics is then served there alone.
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub ops_listen: Option<SocketAddr>,
    /// Do not migrate the database at start.
    #[arg(long, env)]
    pub no_migrate: bool,
    /// Serve the playground at /playground.
    #[arg(long, env)]
    pub playground: bool,
    /// Serve the files of this folder at /, such as the build of an app. It must hold an index.html.
    #[arg(long, env, value_name = "FOLDER", value_parser = parse_static_dir)]
    pub static_dir: Option<PathBuf>,
    /// The largest request body, in bytes, and the largest message of a WebSocket after connection_ack.
    #[arg(long, env, default_value_t = 2 << 20, value_name = "BYTES")]
    pub max_body: usize,
    /// How long a client may take to send a request's body.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    pub body_timeout: Duration,
    /// How many GraphQL operations one HTTP request may hold; 0 takes no batches.
    #[arg(long, env, default_value_t = 0, value_name = "COUNT")]
    pub max_batch: usize,
    /// How many GraphQL documents to keep so that clients can send their hashes instead (Apollo's "automatic persisted
    /// queries"); 0 keeps none.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub persisted_documents: usize,
    /// A JSON file of GraphQL documents by id, `{"id": "query ..."}`, which clients can send the ids of.
    #[arg(long, env, value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,
    /// Run no other GraphQL documents than those.
    #[arg(long, env, requires = "trusted_documents")]
    pub only_trusted_documents: bool,
    /// The most requests a second of one user, ten seconds' worth at once. 0 for no limit.
    #[arg(long, env, default_value_t = 100, value_name = "COUNT")]
    pub max_user_rate: u32,
    /// The most requests a second from one address, ten seconds' worth at once. 0 for no limit.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub max_address_rate: u32,
    /// The header in which your proxy tells its client's address, such as `x-forwarded-for`; its last entry counts.
    /// Without it the address is the peer's, which behind a proxy is the proxy's for everybody.
    #[arg(long, env, value_name = "HEADER")]
    pub client_address_header: Option<HeaderName>,
    /// The most connections at once; fewer where the limit of open files, which is raised as far as the system lets it,
    /// leaves the server too few for itself. Past them, only probes are answered.
    #[arg(
        long,
        env,
        default_value_t = 100_000,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000).map(|count| count as usize)
    )]
    pub max_connections: usize,
    /// How long a client may take to begin its first request, and to send a request's header once it has begun.
    #[arg(long, env, default_value = "10s", value_name = "DURATION", value_parser = parse_period)]
    pub header_timeout: Duration,
    /// How long a connection is kept open between requests. To be longer than your proxy keeps its connections, or now
    /// and then a request meets a connection that is being closed.
    #[arg(long, env, default_value = "75s", value_name = "DURATION", value_parser = parse_period)]
    pub idle_timeout: Duration,
    /// How long to serve on as if nothing were, but for /readyz, once told to stop: longer than it takes your balancer
    /// to notice.
    #[arg(long, env, default_value = "0s", value_name = "DURATION", value_parser = parse_duration)]
    pub shutdown_delay: Duration,
    /// How long requests under way may take to finish after that.
    #[arg(long, env, default_value = "15s", value_name = "DURATION", value_parser = parse_duration)]
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
