//! The composition root: builds the parts of a node, joins them, and runs them until told to stop.
//!
//! **Invariant:** a node that stops finishes what it has begun: streams end, then requests, then writes, then notices.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum_server::Handle;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{JwksTiming, Keys, Rules, TicketLimits, Tickets, Verifier},
    broker::{self, Broker},
    config::{self, Serve},
    feed::Feed,
    graphql::{self, Api},
    http::{self, Gate, Node, Parts, Settings, StreamLimits, Streams},
    hub::Hub,
    library::{Database, Library},
    metrics, migrate,
};

/// A node, built and not yet serving.
pub struct App {
    node: Node,
    broker: Arc<dyn Broker>,
    header_timeout: Duration,
    shutdown_grace: Duration,
}

impl App {
    /// Opens the database, migrates it unless told not to, and joins the parts.
    ///
    /// # Errors
    /// When a setting is missing or wrong, naming it, or the database cannot be opened.
    pub async fn build(config: &Serve, drain: CancellationToken) -> anyhow::Result<Self> {
        let gate = gate(&config.keys)?;
        let options = config.database.options()?;
        let broker = broker(&config.streams.broker_url.0, &options.url)?;
        let metrics = metrics::collect();

        let db = Database::connect(&options)
            .await
            .context("the database cannot be opened")?;
        if !config.http.no_migrate {
            migrate::up(&db, &options)
                .await
                .context("the database cannot be migrated")?;
        }

        let hub = Hub::listening(Arc::clone(&broker));
        let library = Library::new(db, Arc::clone(&broker));
        let feed = Feed::new(library.clone(), hub);
        let api = Api::new(library.clone(), feed.clone(), graphql::Limits::default());
        let settings = Settings {
            heartbeat: config.streams.heartbeat,
            max_body: config.http.max_body,
            playground: config.http.playground,
        };
        Ok(Self {
            node: Node::new(Parts {
                api,
                feed,
                library,
                gate,
                streams: Streams::new(StreamLimits::default(), drain.clone()),
                settings,
                metrics,
                drain,
            }),
            broker,
            header_timeout: config.http.header_timeout,
            shutdown_grace: config.http.shutdown_grace,
        })
    }

    /// The libraries that this node serves.
    pub fn library(&self) -> &Library {
        &self.node.library
    }

    /// Serves on `listener` until the drain token is cancelled, then finishes what is under way.
    pub async fn run(self, listener: TcpListener) -> anyhow::Result<()> {
        let Self {
            node,
            broker,
            header_timeout,
            shutdown_grace,
        } = self;
        let drain = node.drain.clone();
        let fresh = {
            let (feed, period, stop) = (node.feed.clone(), node.settings.heartbeat, drain.clone());
            tokio::spawn(async move { feed.keep_fresh(period, stop).await })
        };

        let handle = Handle::new();
        listener.set_nonblocking(true)?;
        let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
        // HTTP/1 alone, because the builder that tells versions apart waits for a first byte without a limit.
        let http = server.http_builder();
        *http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).http1_only();
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout);
        let serving = server.serve(http::router(node.clone()).into_make_service());
        let stop = async {
            drain.cancelled().await;
            handle.graceful_shutdown(Some(shutdown_grace));
        };
        let (outcome, ()) = tokio::join!(serving, stop);
        outcome.context("serving failed")?;
        fresh.await?;
        node.library.finish_writes().await;
        broker.close().await;
        node.library
            .database()
            .clone()
            .close()
            .await
            .context("the database could not be closed")
    }
}

/// Listens on `address`; port 0 stands for any that is free.
///
/// # Errors
/// When the address is taken or not this machine's.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}; choose another with --listen (LIBRARY_SYNC_LISTEN)")
    })
}

fn gate(config: &config::Keys) -> anyhow::Result<Gate> {
    let keys = match (&config.jwt_secret, &config.jwt_public_key, &config.jwks_url) {
        (Some(secret), None, None) => {
            Keys::secret(secret.0.as_bytes()).context("--jwt-secret (LIBRARY_SYNC_JWT_SECRET)")
        }
        (None, Some(key), None) => {
            Keys::pem(&pem(key)?).context("--jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY)")
        }
        (None, None, Some(url)) => {
            Keys::jwks(url, JwksTiming::default()).context("--jwks-url (LIBRARY_SYNC_JWKS_URL)")
        }
        (None, None, None) => Err(anyhow::anyhow!(
            "no key to check tokens with: give --jwt-secret (LIBRARY_SYNC_JWT_SECRET), \
             --jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY) or --jwks-url (LIBRARY_SYNC_JWKS_URL)"
        )),
        _ => Err(anyhow::anyhow!(
            "give only one of --jwt-secret, --jwt-public-key and --jwks-url"
        )),
    }?;
    let rules = Rules {
        issuer: config.jwt_issuer.clone(),
        audience: config.jwt_audience.clone(),
        leeway: config.jwt_leeway,
    };
    Ok(Gate {
        verifier: Verifier::new(keys, rules),
        origins: config.allowed_origins.clone(),
        session_cookie: config.session_cookie.clone(),
        tickets: Tickets::new(TicketLimits::default()),
    })
}

/// A key is given as text, or as the path of a file that holds it.
fn pem(text_or_path: &str) -> anyhow::Result<Vec<u8>> {
    if text_or_path.contains("-----BEGIN") {
        return Ok(text_or_path.as_bytes().to_vec());
    }
    std::fs::read(text_or_path).with_context(|| {
        format!("--jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY): {text_or_path} cannot be read")
    })
}

fn broker(address: &str, database_url: &str) -> anyhow::Result<Arc<dyn Broker>> {
    broker::open(address, database_url, broker::Timing::default())
        .context("--broker-url (LIBRARY_SYNC_BROKER_URL)")
}
