//! The composition root: builds the parts of a node, joins them, and runs them until told to stop.
//!
//! **Invariant:** a node that stops says first that it is not ready and serves on, then finishes what it has begun:
//! streams end, then requests, then writes, then notices. It ends within `--shutdown-delay`, `--shutdown-grace` and
//! 5 s of being told, whatever does not answer.

pub mod open_database;
pub mod settings;

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    open_database::{database_options, open_database},
    settings::{
        check_stop, connection_limits, kept, library_limits, limits, pending_limits, rate_limits,
        settings, stream_limits,
    },
};
use crate::{
    address::DatabaseAddress,
    auth::{JwksTiming, Keys, Rules, Verifier},
    broker::{self, Broker},
    config::{self, Serve},
    feed::Feed,
    graphql::{Api, Documents, KeepLimits},
    http::{
        self, Authenticator, ConnectionLimits, Node, Parts, PendingSockets, RateLimiter, Readiness,
        Stop, Streams,
    },
    hub::Hub,
    library::{Database, DatabaseOptions, Library, Opening, Witnessed},
    metrics, schema_migration,
};

/// How long one who asks no more is remembered.
const RATE_MEMORY: Duration = Duration::from_mins(1);

/// How often metrics that nobody has fetched are condensed; what they measured piles up until then.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// How long writes, notices and connections may take to end when all requests have.
const FAREWELL: Duration = Duration::from_secs(5);

/// How many connections there may be to the listener for probes and metrics.
const OPS_CONNECTIONS: usize = 64;

/// A node, built and not yet serving.
pub struct App {
    node: Node,
    broker: Arc<dyn Broker>,
    connections: ConnectionLimits,
    /// Where whoever runs the server asks how it is.
    ops: Option<TcpListener>,
    shutdown_delay: Duration,
    shutdown_grace: Duration,
    retention: config::Retention,
    witnessed: Witnessed,
}

impl App {
    /// Opens the database, migrates it unless told not to, and joins the parts. The node is told to stop by `stopping`.
    ///
    /// # Errors
    /// When a setting is missing or wrong, naming it, or the database cannot be opened.
    pub async fn build(config: &Serve, stopping: CancellationToken) -> anyhow::Result<Self> {
        check_stop(config)?;
        let authenticator = authenticator(&config.keys)?;
        let options = database_options(&config.database, Opening::Create)?;
        let broker = broker(&config.streams.broker_url.0, &options.address)?;
        let metrics = metrics::collect();
        let db = migrated_database(config, &options).await?;
        let hub = Hub::listening(Arc::clone(&broker));
        let library =
            Library::new(db, Arc::clone(&broker)).limited_to(library_limits(config.limits));
        let witnessed = library.witnessed().await.context("the database")?;
        let feed = Feed::new(library.clone(), hub);
        let api = api(config, &library, &feed)?;
        let drain = CancellationToken::new();
        Ok(Self {
            node: Node::new(Parts {
                api,
                feed,
                library,
                authenticator,
                rate_limiter: RateLimiter::new(rate_limits(&config.http)),
                streams: Streams::new(stream_limits(config), drain.clone()),
                pending: PendingSockets::new(pending_limits(&config.streams)),
                settings: settings(config),
                metrics,
                readiness: Readiness::default(),
                stopping,
                drain,
            }),
            broker,
            connections: connection_limits(config),
            ops: config.http.ops_listen.map(listen_for_ops).transpose()?,
            shutdown_delay: config.http.shutdown_delay,
            shutdown_grace: config.http.shutdown_grace,
            retention: config.retention.clone(),
            witnessed,
        })
    }

    /// The libraries that this node serves.
    pub fn library(&self) -> &Library {
        &self.node.library
    }

    /// Where the listener for probes and metrics has its port, if there is one.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops.as_ref()?.local_addr().ok()
    }

    /// Serves on `listener` until told to stop, then finishes what is under way.
    pub async fn run(mut self, listener: TcpListener) -> anyhow::Result<()> {
        let ended = CancellationToken::new();
        let background = self.work_in_background(&ended);
        let ops = self.ops.take();
        let node = &self.node;
        if let Some(ops) = ops {
            let limits = self.connections.clone();
            background.spawn(serve_ops(ops, node.clone(), limits, ended.clone()));
        }
        background.close();
        let serving = http::serve(
            listener,
            http::router(node.clone()),
            Some(http::reserve_router(node.clone())),
            self.connections.clone(),
            Stop {
                drain: node.drain.clone(),
                grace: self.shutdown_grace,
            },
        );
        let stop = async {
            node.stopping.cancelled().await;
            tokio::time::sleep(self.shutdown_delay).await;
            node.drain.cancel();
            // The server does not count what was upgraded; those that do not end in time are dropped with the process.
            let _ = timeout(self.shutdown_grace, node.streams.all_ended()).await;
        };
        let (outcome, ()) = tokio::join!(serving, stop);
        outcome.context("serving failed")?;
        ended.cancel();
        if let Ok(done) = timeout(FAREWELL, self.take_leave(&background)).await {
            return done;
        }
        tracing::warn!("stopping without waiting for the database any longer");
        Ok(())
    }

    /// What goes on beside requests, until `ended`.
    fn work_in_background(&self, ended: &CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        tasks.spawn({
            let (feed, period) = (self.node.feed.clone(), self.node.settings.heartbeat);
            let ended = ended.clone();
            async move { feed.keep_fresh(period, ended).await }
        });
        tasks.spawn({
            let (library, retention) = (self.node.library.clone(), self.retention.clone());
            let (witnessed, stopping) = (self.witnessed, self.node.stopping.clone());
            async move {
                let period = retention.purge_every;
                library
                    .keep_purging(witnessed, kept(&retention), period, stopping)
                    .await;
            }
        });
        tasks.spawn({
            let (library, ended) = (self.node.library.clone(), ended.clone());
            async move { library.keep_watching_replica(ended).await }
        });
        let node = self.node.clone();
        tasks.spawn(every(RATE_MEMORY, ended.clone(), move || {
            node.rate_limiter.forget_the_idle();
        }));
        let metrics = self.node.metrics.clone();
        tasks.spawn(every(METRICS_UPKEEP, ended.clone(), move || {
            metrics.run_upkeep();
        }));
        tasks
    }

    /// Waits for what requests have left behind.
    async fn take_leave(&self, background: &TaskTracker) -> anyhow::Result<()> {
        self.node.library.finish_writes().await;
        self.broker.close().await;
        background.wait().await;
        let database = self.node.library.database().clone();
        let closed = database.close().await;
        closed.context("the database could not be closed")
    }
}

/// Serves probes and metrics until `ended`, so that they can be asked for while clients have taken all other places and
/// while the node stops.
async fn serve_ops(
    listener: TcpListener,
    node: Node,
    limits: ConnectionLimits,
    ended: CancellationToken,
) {
    let limits = ConnectionLimits {
        connections: OPS_CONNECTIONS,
        ..limits
    };
    let stop = Stop {
        drain: ended,
        grace: Duration::ZERO,
    };
    let served = http::serve(listener, http::ops_router(node), None, limits, stop).await;
    if let Err(error) = served {
        tracing::error!(%error, "probes and metrics are not served on --ops-listen");
    }
}

/// Does `work` every `period` until `ended`.
async fn every(period: Duration, ended: CancellationToken, work: impl Fn()) {
    while timeout(period, ended.cancelled()).await.is_err() {
        work();
    }
}

/// Opens the database and, unless `--no-migrate`, migrates it.
async fn migrated_database(config: &Serve, options: &DatabaseOptions) -> anyhow::Result<Database> {
    let db = open_database(&config.database, options).await?;
    check_broker(&config.streams.broker_url.0, &db)?;
    if !config.http.no_migrate {
        schema_migration::up(&db, options)
            .await
            .context("the database cannot be migrated")?;
    }
    Ok(db)
}

/// Builds the GraphQL schema with the documents that clients may name.
///
/// # Errors
/// When a trusted document cannot be read or is not valid.
fn api(config: &Serve, library: &Library, feed: &Feed) -> anyhow::Result<Api> {
    let documents = documents(&config.http)?;
    let api = Api::new(library.clone(), feed.clone(), limits(config), documents);
    if let Some((id, refused)) = api.invalid_documents().first() {
        let reason = refused.errors().first().map(ToString::to_string);
        anyhow::bail!(
            "--trusted-documents (LIBRARY_SYNC_TRUSTED_DOCUMENTS): document `{id}`: {}",
            reason.unwrap_or_default()
        );
    }
    Ok(api)
}

/// Refuses LISTEN on a session that others use in turn.
fn check_broker(broker_url: &str, db: &Database) -> anyhow::Result<()> {
    anyhow::ensure!(
        !db.shares_sessions() || broker_url.split('?').next() != Some("postgres:"),
        "--broker-url (LIBRARY_SYNC_BROKER_URL): `postgres:` stands for the address of the database, which leads to a \
         connection pooler in transaction mode: name PostgreSQL itself, postgres://user:password@host/name"
    );
    Ok(())
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

fn listen_for_ops(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen on {address}; choose another with --ops-listen (LIBRARY_SYNC_OPS_LISTEN)"
        )
    })?;
    tracing::info!(server.address = %listener.local_addr()?, "serving probes and metrics");
    Ok(listener)
}

/// The documents that clients may name instead of sending.
fn documents(config: &config::Http) -> anyhow::Result<Documents> {
    let documents = Documents::new(KeepLimits {
        entries: config.persisted_documents,
        ..KeepLimits::default()
    });
    let Some(path) = &config.trusted_documents else {
        return Ok(documents);
    };
    let setting = "--trusted-documents (LIBRARY_SYNC_TRUSTED_DOCUMENTS)";
    let manifest = std::fs::read(path)
        .with_context(|| format!("{setting}: {} cannot be read", path.display()))?;
    let manifest = serde_json::from_slice(&manifest)
        .with_context(|| format!("{setting}: {} is no manifest", path.display()))?;
    Ok(documents.trust(manifest, config.only_trusted_documents))
}

fn authenticator(config: &config::Keys) -> anyhow::Result<Authenticator> {
    let keys = match (&config.jwt_secret, &config.jwt_public_key, &config.jwks_url) {
        (Some(secret), None, None) => {
            Keys::secret(secret.0.as_bytes()).context("--jwt-secret (LIBRARY_SYNC_JWT_SECRET)")
        }
        (None, Some(key), None) => {
            Keys::pem(&pem(&key.0)?).context("--jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY)")
        }
        (None, None, Some(url)) => {
            let timing = JwksTiming {
                refetch: config.jwks_refetch,
                ..JwksTiming::default()
            };
            Keys::jwks(&url.0, timing).context("--jwks-url (LIBRARY_SYNC_JWKS_URL)")
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
    Ok(Authenticator {
        verifier: Verifier::new(keys, rules),
        origins: config.allowed_origins.clone(),
        session_cookie: config.session_cookie.clone(),
    })
}

/// A key is given as text, or as the path of a file that holds it.
fn pem(text_or_path: &str) -> anyhow::Result<Vec<u8>> {
    if text_or_path.contains("-----BEGIN") {
        return Ok(text_or_path.as_bytes().to_vec());
    }
    let setting = "--jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY)";
    // What names no file may be a key or a secret, so it is not repeated.
    anyhow::ensure!(
        Path::new(text_or_path).exists(),
        "{setting}: it is neither PEM nor the path of a file that exists"
    );
    std::fs::read(text_or_path).with_context(|| format!("{setting}: {text_or_path} cannot be read"))
}

fn broker(address: &str, database: &DatabaseAddress) -> anyhow::Result<Arc<dyn Broker>> {
    broker::open(address, database.postgres(), broker::Timing::default())
        .context("--broker-url (LIBRARY_SYNC_BROKER_URL)")
}
