//! The composition root: builds the parts of a node, connects them, and runs them until shutdown.
//!
//! **Invariant:** a node that stops first reports that it is not ready and keeps serving. Then it ends its streams, its
//! requests, its writes and its notices, in this order. Shutdown takes at most `--shutdown-delay`, `--shutdown-grace` and
//! 5 s in all, even if a client or a server does not respond.

mod authenticator;
pub mod open_database;
mod pem;
mod push;
pub mod settings;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    authenticator::authenticator,
    push::{push, webhook},
};
use self::{
    open_database::{database_options, open_database},
    settings::{
        connection_limits, documents, graphql_limits, settings, slot_limits, stream_limits,
    },
};
use crate::{
    address::DatabaseAddress,
    broker::{self, Broker},
    config::{self, Serve},
    feed::Feed,
    graphql::Api,
    http::{
        self, ConnectionLimits, ConnectionSlots, Node, Parts, PendingSockets, RateLimiter,
        Readiness, Routes, SlotLimits, Stop, Streams,
    },
    hub::Hub,
    library::{Database, DatabaseOptions, Library, Opening, Retention, Witnessed},
    metrics,
    push::Worker,
    schema_migration,
    trace::{Exporter, traces_address},
};

/// Interval between deletions of idle users and addresses from the rate limiter.
const RATE_LIMITER_UPKEEP: Duration = Duration::from_mins(1);

/// Interval between aggregations of metrics. Until then, every measurement is kept.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Time limit for writes, notices and connections to end after all requests have ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The setting of the exporter, for errors.
const OTLP_ENDPOINT: &str = "--otlp-endpoint (LIBRARY_SYNC_OTLP_ENDPOINT)";

/// Limits on connections to `--ops-listen`.
const OPS_CONNECTIONS: SlotLimits = SlotLimits {
    total: 64,
    per_address: 0,
};

/// A node that is built and does not serve yet.
pub struct App {
    node: Node,
    broker: Arc<dyn Broker>,
    /// Sends push messages and calls the webhook.
    worker: Option<Worker>,
    /// Sends spans to a collector.
    exporter: Option<Exporter>,
    connections: ConnectionLimits,
    /// The listener of `--ops-listen`.
    ops: Option<TcpListener>,
    shutdown_delay: Duration,
    shutdown_grace: Duration,
    retention: config::Retention,
    witnessed: Witnessed,
}

impl App {
    /// Opens the database, migrates it unless `--no-migrate` is set, and connects the parts. Cancelling `stopping` shuts the
    /// node down.
    ///
    /// # Errors
    /// When a setting is missing or invalid, with its name, or when the database cannot be opened.
    pub async fn build(config: &Serve, stopping: CancellationToken) -> anyhow::Result<Self> {
        let stream_limits = stream_limits(config)?;
        let settings = settings(config)?;
        let authenticator = authenticator(&config.keys)?;
        let (push, webhook) = (push(&config.push)?, webhook(&config.push)?);
        let options = database_options(&config.database, Opening::Create)?;
        let broker = broker(&config.streams.broker_url.0, &options.address)?;
        let metrics = metrics::collect();
        let exporter = exporter(&config.tracing)?;
        let db = migrated_database(config, &options).await?;
        let hub = Hub::listening(Arc::clone(&broker));
        let library = Library::new(db, Arc::clone(&broker))
            .limited_to(config.limits)
            .with_devices(config.devices.clone());
        let witnessed = library.witnessed().await.context("the database")?;
        let worker = Worker::new(&library, &hub, push.clone(), webhook).await;
        let worker = worker.context("the database")?;
        let feed = Feed::new(library.clone(), hub);
        let api = api(config, &library, &feed)?.with_push(push);
        let drain = CancellationToken::new();
        let streams = Streams::new(stream_limits, drain.clone());
        library.end_streams_by(Arc::new(streams.clone()));
        Ok(Self {
            node: Node::new(Parts {
                api,
                feed,
                library,
                authenticator,
                rate_limiter: RateLimiter::new(config.http.rate.clone()),
                streams,
                slots: ConnectionSlots::new(slot_limits(config)),
                pending: PendingSockets::new(config.streams.pending),
                settings,
                metrics,
                readiness: Readiness::default(),
                stopping,
                drain,
            }),
            broker,
            worker,
            exporter,
            connections: connection_limits(config),
            ops: config.http.ops_listen.map(listen_for_ops).transpose()?,
            shutdown_delay: config.http.shutdown_delay,
            shutdown_grace: config.http.shutdown_grace,
            retention: config.retention.clone(),
            witnessed,
        })
    }

    /// Returns the libraries that this node serves.
    pub fn library(&self) -> &Library {
        &self.node.library
    }

    /// Returns the address of the `--ops-listen` listener, if there is one.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops.as_ref()?.local_addr().ok()
    }

    /// Serves on `listener` until shutdown, then ends what is in progress.
    pub async fn run(mut self, listener: TcpListener) -> anyhow::Result<()> {
        let ended = CancellationToken::new();
        let background = self.work_in_background(&ended);
        if let Some(exporter) = self.exporter.take() {
            background.spawn(exporter.run(ended.clone()));
        }
        let ops = self.ops.take();
        let node = &self.node;
        if let Some(ops) = ops {
            let limits = self.connections.clone();
            background.spawn(serve_ops(ops, node.clone(), limits, ended.clone()));
        }
        background.close();
        let serving = http::serve(
            listener,
            node.slots.clone(),
            Routes {
                served: http::router(node.clone()),
                overflow: Some(http::overflow(node)),
            },
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
            // The server does not count upgraded connections. Those that exceed the grace period end with the process.
            let ended = async {
                node.streams.end_all().await;
                node.streams.all_ended().await;
            };
            let _ = timeout(self.shutdown_grace, ended).await;
        };
        let (outcome, ()) = tokio::join!(serving, stop);
        outcome.context("serving failed")?;
        ended.cancel();
        if let Ok(done) = timeout(CLOSE_TIMEOUT, self.close(&background)).await {
            return done;
        }
        tracing::warn!("shutdown timed out while closing the database; stopping anyway");
        Ok(())
    }

    /// Starts the background tasks, which run until `ended`.
    fn work_in_background(&self, ended: &CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        tasks.spawn({
            let (feed, period) = (self.node.feed.clone(), self.node.settings.heartbeat);
            let ended = ended.clone();
            async move { feed.keep_fresh(period, ended).await }
        });
        tasks.spawn({
            let (library, period) = (self.node.library.clone(), self.retention.purge_every);
            let kept = Retention {
                history: self.retention.keep_history,
                receipts: self.retention.keep_receipts,
            };
            let (witnessed, stopping) = (self.witnessed, self.node.stopping.clone());
            async move {
                library
                    .keep_purging(witnessed, kept, period, stopping)
                    .await;
            }
        });
        tasks.spawn({
            let (library, ended) = (self.node.library.clone(), ended.clone());
            async move { library.keep_watching_replica(ended).await }
        });
        tasks.spawn({
            let (library, ended) = (self.node.library.clone(), ended.clone());
            async move { library.keep_devices(ended).await }
        });
        tasks.spawn({
            let (library, ended) = (self.node.library.clone(), ended.clone());
            async move { library.keep_uses(ended).await }
        });
        if let Some(worker) = self.worker.clone() {
            tasks.spawn(worker.run(ended.clone()));
        }
        let node = self.node.clone();
        tasks.spawn(every(RATE_LIMITER_UPKEEP, ended.clone(), move || {
            node.rate_limiter.forget_the_idle();
        }));
        let metrics = self.node.metrics.clone();
        tasks.spawn(every(METRICS_UPKEEP, ended.clone(), move || {
            metrics.run_upkeep();
        }));
        tasks
    }

    /// Finishes writes, sends the remaining notices and closes the database.
    async fn close(&self, background: &TaskTracker) -> anyhow::Result<()> {
        self.node.library.finish_writes().await;
        self.broker.close().await;
        background.wait().await;
        let database = self.node.library.database().clone();
        let closed = database.close().await;
        closed.context("the database could not be closed")
    }
}

/// Serves health checks and metrics until `ended`, even while clients use all other connections or the node stops.
async fn serve_ops(
    listener: TcpListener,
    node: Node,
    limits: ConnectionLimits,
    ended: CancellationToken,
) {
    let slots = ConnectionSlots::new(OPS_CONNECTIONS);
    let routes = Routes {
        served: http::ops_router(node),
        overflow: None,
    };
    let stop = Stop {
        drain: ended,
        grace: Duration::ZERO,
    };
    let served = http::serve(listener, slots, routes, limits, stop).await;
    if let Err(error) = served {
        tracing::error!(%error, "--ops-listen: health checks and metrics are not served");
    }
}

/// Runs `work` every `period` until `ended`.
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

/// Checks the settings that are validated before the database is opened, apart from those of keys, push and the webhook.
///
/// # Errors
/// When a setting is missing or invalid, with its name.
pub fn check_settings(config: &Serve) -> anyhow::Result<()> {
    stream_limits(config)?;
    settings(config)?;
    database_options(&config.database, Opening::Change)?;
    documents(&config.http)?;
    if let Some(endpoint) = &config.tracing.otlp_endpoint {
        traces_address(&endpoint.0).context(OTLP_ENDPOINT)?;
    }
    Ok(())
}

/// Builds the GraphQL API with its named documents.
///
/// # Errors
/// When a trusted document cannot be read or is invalid.
fn api(config: &Serve, library: &Library, feed: &Feed) -> anyhow::Result<Api> {
    let documents = documents(&config.http)?;
    let api = Api::new(
        library.clone(),
        feed.clone(),
        graphql_limits(config),
        documents,
    );
    if let Some((id, refused)) = api.invalid_documents().first() {
        let reason = refused.errors().first().map(ToString::to_string);
        anyhow::bail!(
            "--trusted-documents (LIBRARY_SYNC_TRUSTED_DOCUMENTS): document `{id}`: {}",
            reason.unwrap_or_default()
        );
    }
    Ok(api)
}

/// Returns the exporter of spans, unless tracing is off.
fn exporter(config: &config::Tracing) -> anyhow::Result<Option<Exporter>> {
    let Some(endpoint) = &config.otlp_endpoint else {
        return Ok(None);
    };
    let exporter = Exporter::new(&endpoint.0);
    exporter.context(OTLP_ENDPOINT)
}

/// Refuses LISTEN through a connection pooler, which shares sessions.
///
/// # Errors
/// When the broker is PostgreSQL at the address of the database, and that is such a pooler.
pub fn check_broker(broker_url: &str, db: &Database) -> anyhow::Result<()> {
    anyhow::ensure!(
        !db.shares_sessions() || broker_url.split('?').next() != Some("postgres:"),
        "--broker-url (LIBRARY_SYNC_BROKER_URL): `postgres:` uses the address of the database, which is a connection \
         pooler in transaction mode: give the address of PostgreSQL itself, postgres://user:password@host/name"
    );
    Ok(())
}

/// Listens on `address`. Port 0 selects a free port.
///
/// # Errors
/// When the address is in use or not assigned to this machine.
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
    tracing::info!(server.address = %listener.local_addr()?, "serving health checks and metrics");
    Ok(listener)
}

/// Opens the configured broker.
///
/// # Errors
/// When the address is invalid.
pub fn broker(address: &str, database: &DatabaseAddress) -> anyhow::Result<Arc<dyn Broker>> {
    broker::open(address, database.postgres(), broker::Timing::default())
        .context("--broker-url (LIBRARY_SYNC_BROKER_URL)")
}
