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
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{JwksTiming, Keys, Rules, TicketLimits, Verifier},
    broker::{self, Broker, Memory},
    config::{self, Serve},
    feed::Feed,
    graphql::{self, Api, Documents, KeepLimits},
    http::{
        self, Gate, Node, Pace, PaceLimits, Parts, Settings, StreamLimits, Streams, WriteDeadline,
    },
    hub::Hub,
    library::{Database, Library, Retention},
    metrics, migrate,
};

/// How long one who asks no more is remembered.
const PACE_MEMORY: Duration = Duration::from_mins(1);

/// A node, built and not yet serving.
pub struct App {
    node: Node,
    max_connections: usize,
    broker: Arc<dyn Broker>,
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    shutdown_grace: Duration,
    retention: config::Retention,
}

impl App {
    /// Opens the database, migrates it unless told not to, and joins the parts.
    ///
    /// # Errors
    /// When a setting is missing or wrong, naming it, or the database cannot be opened.
    pub async fn build(config: &Serve, drain: CancellationToken) -> anyhow::Result<Self> {
        let gate = gate(&config.keys)?;
        check_stop(config)?;
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
        let api = Api::new(
            library.clone(),
            feed.clone(),
            limits(config),
            documents(&config.http)?,
        );
        if let Some((id, refused)) = api.invalid_documents().await.first() {
            let reason = refused.errors().first().map(ToString::to_string);
            anyhow::bail!(
                "--trusted-documents (LIBRARY_SYNC_TRUSTED_DOCUMENTS): document `{id}`: {}",
                reason.unwrap_or_default()
            );
        }
        let settings = Settings {
            heartbeat: config.streams.heartbeat,
            max_body: config.http.max_body,
            body_timeout: config.http.body_timeout,
            max_batch: config.http.max_batch,
            playground: config.http.playground,
        };
        Ok(Self {
            node: Node::new(Parts {
                api,
                feed,
                library,
                gate,
                pace: Pace::new(pace_limits(&config.http)),
                streams: Streams::new(stream_limits(config), drain.clone()),
                settings,
                metrics,
                drain,
            }),
            max_connections: config.http.max_connections,
            broker,
            header_timeout: config.http.header_timeout,
            idle_timeout: config.http.idle_timeout,
            write_timeout: config.streams.write_timeout,
            shutdown_grace: config.http.shutdown_grace,
            retention: config.retention.clone(),
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
            max_connections,
            broker,
            header_timeout,
            idle_timeout,
            write_timeout,
            shutdown_grace,
            retention,
        } = self;
        let drain = node.drain.clone();
        let background = TaskTracker::new();
        background.spawn({
            let (feed, period, stop) = (node.feed.clone(), node.settings.heartbeat, drain.clone());
            async move { feed.keep_fresh(period, stop).await }
        });
        background.spawn({
            let (library, stop) = (node.library.clone(), drain.clone());
            async move {
                library
                    .keep_purging(kept(&retention), retention.purge_every, stop)
                    .await;
            }
        });
        background.spawn({
            let (node, stop) = (node.clone(), drain.clone());
            async move {
                while tokio::time::timeout(PACE_MEMORY, stop.cancelled())
                    .await
                    .is_err()
                {
                    node.pace.forget_the_idle();
                }
            }
        });
        background.close();

        let handle = Handle::new();
        listener.set_nonblocking(true)?;
        let mut server = axum_server::from_tcp(listener)?
            .acceptor(
                WriteDeadline::new(write_timeout)
                    .heads_within(header_timeout)
                    .at_most(max_connections),
            )
            .handle(handle.clone());
        let http = server.http_builder();
        *http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new()).http1_only();
        // The server's timer runs from one request to the end of the next one's head, most of it idle; a head that has
        // begun is the acceptor's to time.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(idle_timeout);
        let serving = server
            .serve(http::router(node.clone()).into_make_service_with_connect_info::<SocketAddr>());
        let stop = async {
            drain.cancelled().await;
            handle.graceful_shutdown(Some(shutdown_grace));
            // The server does not count what was upgraded; those that do not end in time are dropped with the process.
            let _ = tokio::time::timeout(shutdown_grace, node.streams.all_ended()).await;
        };
        let (outcome, ()) = tokio::join!(serving, stop);
        outcome.context("serving failed")?;
        background.wait().await;
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

fn pace_limits(config: &config::Http) -> PaceLimits {
    PaceLimits {
        per_user: config.max_user_rate,
        per_address: config.max_address_rate,
        address_header: config.client_address_header.clone(),
    }
}

fn limits(config: &Serve) -> graphql::Limits {
    let graphql = &config.graphql;
    graphql::Limits {
        document_bytes: graphql.max_document,
        tokens: graphql.max_tokens,
        depth: graphql.max_depth,
        complexity: graphql.max_complexity,
        aliases: graphql.max_aliases,
        page: graphql.max_page,
        changes: graphql.max_changes,
        introspection: !graphql.no_introspection,
        heartbeat: config.streams.heartbeat,
        tickets: TicketLimits {
            life: config.streams.ticket_life,
            ..TicketLimits::default()
        },
        ..graphql::Limits::default()
    }
}

fn kept(config: &config::Retention) -> Retention {
    Retention {
        history: config.keep_history,
        receipts: config.keep_receipts,
    }
}

fn stream_limits(serve: &Serve) -> StreamLimits {
    let config = &serve.streams;
    StreamLimits {
        per_user: config.max_streams_per_user,
        total: config.max_streams,
        max_life: config.max_stream_life,
        drain_spread: config.drain_spread,
        grace: serve.http.shutdown_grace,
        operations_per_socket: config.max_operations_per_socket,
        messages_per_second: config.max_message_rate,
        init_timeout: config.init_timeout,
    }
}

/// Refuses settings under which streams would be cut off before their turn to end.
fn check_stop(config: &Serve) -> anyhow::Result<()> {
    let (spread, grace) = (config.streams.drain_spread, config.http.shutdown_grace);
    anyhow::ensure!(
        spread <= grace,
        "--drain-spread (LIBRARY_SYNC_DRAIN_SPREAD) is {}, longer than --shutdown-grace \
         (LIBRARY_SYNC_SHUTDOWN_GRACE), which is {}: give a shorter spread or a longer grace",
        humantime::format_duration(spread),
        humantime::format_duration(grace),
    );
    Ok(())
}

/// Opens the libraries of a database without serving them, once its tables are up to date.
///
/// # Errors
/// When no database is named, or it cannot be opened or migrated.
pub(crate) async fn open_library(config: &config::Database) -> anyhow::Result<Library> {
    let options = config.options()?;
    let db = Database::connect(&options)
        .await
        .context("the database cannot be opened")?;
    migrate::up(&db, &options)
        .await
        .context("the database cannot be migrated")?;
    Ok(Library::new(db, Arc::new(Memory::default())))
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

fn gate(config: &config::Keys) -> anyhow::Result<Gate> {
    let keys = match (&config.jwt_secret, &config.jwt_public_key, &config.jwks_url) {
        (Some(secret), None, None) => {
            Keys::secret(secret.0.as_bytes()).context("--jwt-secret (LIBRARY_SYNC_JWT_SECRET)")
        }
        (None, Some(key), None) => {
            Keys::pem(&pem(key)?).context("--jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY)")
        }
        (None, None, Some(url)) => {
            let timing = JwksTiming {
                refetch: config.jwks_refetch,
                ..JwksTiming::default()
            };
            Keys::jwks(url, timing).context("--jwks-url (LIBRARY_SYNC_JWKS_URL)")
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
