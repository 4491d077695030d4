//! Everything that can be set, read once from flags and the environment.
//!
//! A flag and its variable are one setting: `--max-body` is `LIBRARY_SYNC_MAX_BODY`, and the flag wins. Only `main`
//! and `app` read these structs; every other module takes plain values.
//!
//! **Invariant:** a secret never shows: not in `--help`, not in `Debug`, not in an error.

mod backup;
mod transfer;
mod usage;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use anyhow::Context as _;
use axum::http::HeaderName;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::TypedValueParser as _};

pub use self::{
    backup::{Backup, Restore},
    transfer::{Export, FileFormat, FileKind, Import},
    usage::redacted,
};
use crate::{
    address::DatabaseAddress,
    auth::Origins,
    library::{DatabaseOptions, Opening},
};

/// Keeps a reader's library the same on all of their devices.
#[derive(Debug, Parser)]
#[command(
    name = "library-sync",
    version,
    about,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log.
    #[command(flatten)]
    pub log: Log,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it out: serve a sample library from SQLite, with a key and a user made for you.
    Dev(Dev),
    /// Serve libraries from your database.
    Serve(Box<Serve>),
    /// Change the database's tables, or tell which changes they have had.
    Migrate(Migrate),
    /// Add the entries of a file to a user's library: our own CSV or JSON, or another program's export.
    ///
    /// Entries whose address is in the library already are skipped. Entries without a title or with a wrong address are
    /// refused, and optional cells that cannot be read are left empty; both are reported on standard error with their
    /// line. Each 1,000 entries are one step of the library version. The exit code is 0 unless the file cannot be read
    /// as a whole, holds no sound entry, or the library has no room; what the steps before that added stays.
    #[command(after_long_help = transfer::FILE_HELP)]
    Import(Import),
    /// Write a user's library to a CSV or JSON file.
    ///
    /// All of it is of one moment, whatever is written meanwhile.
    #[command(after_long_help = transfer::FILE_HELP)]
    Export(Export),
    /// Copy a SQLite database to a new file, while it is in use or not.
    ///
    /// For PostgreSQL use pg_dump.
    Backup(Backup),
    /// Put a backup in the place of a SQLite database that no server uses, and begin a new epoch.
    ///
    /// The backup is checked and copied; the database that was there is kept under another name. For PostgreSQL use
    /// pg_restore, and then `library-sync epoch new`.
    Restore(Restore),
    /// Begin a new epoch, after a restore from a backup: clients drop their copies and start afresh.
    Epoch(Epoch),
    /// Print the GraphQL schema.
    Schema,
    /// Print a token for a user, signed with the secret.
    Token(Token),
}

/// What to log, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct Log {
    /// What to log: a level, or levels by module such as `info,library_sync::http=debug`.
    #[arg(
        long = "log",
        env = "LIBRARY_SYNC_LOG",
        global = true,
        default_value = "info,sea_orm_migration=warn,sqlx=warn,async_nats=off",
        value_name = "FILTER"
    )]
    pub filter: String,
    /// How to write a line.
    #[arg(
        long = "log-format",
        env = "LIBRARY_SYNC_LOG_FORMAT",
        global = true,
        default_value = "auto"
    )]
    pub format: LogFormat,
}

/// How to write a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// A line for people.
    Text,
    /// A line for programs.
    Json,
}

/// `library-sync dev`.
#[derive(Debug, Clone, Args)]
pub struct Dev {
    /// Where to listen.
    #[arg(
        long,
        env = "LIBRARY_SYNC_LISTEN",
        default_value = "127.0.0.1:4000",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
    /// The folder for the database and the key. Delete it to start afresh.
    #[arg(
        long,
        env = "LIBRARY_SYNC_DATA_DIR",
        default_value = ".library-sync-dev",
        value_name = "FOLDER"
    )]
    pub data_dir: PathBuf,
}

/// `library-sync serve`.
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// The keys.
    #[command(flatten)]
    pub keys: Keys,
    /// The way in.
    #[command(flatten)]
    pub http: Http,
    /// The operations.
    #[command(flatten)]
    pub graphql: Graphql,
    /// The streams.
    #[command(flatten)]
    pub streams: Streams,
    /// What is kept for clients that come back.
    #[command(flatten)]
    pub retention: Retention,
    /// How much one user may keep.
    #[command(flatten)]
    pub limits: Limits,
}

/// Which database, and how much of it to use.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// Where libraries are kept: `postgres://user:password@host/name` or `sqlite://file.db?mode=rwc`. Without `mode=rwc`
    /// a SQLite file must exist. `DATABASE_URL` is read when neither the flag nor its variable is given.
    #[arg(
        long,
        env = "LIBRARY_SYNC_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: Option<Secret>,
    /// A replica of the database that queries may read. It may lag: what a client has seen, by its
    /// `X-Min-Library-Version`, it is not shown older. Versions and writes never use it.
    #[arg(
        long,
        env = "LIBRARY_SYNC_READ_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub read_database_url: Option<Secret>,
    /// How far that replica may lag before queries read the primary instead. One that takes writes, or is of another
    /// cluster, is never read. 0s for no limit.
    #[arg(long, env = "LIBRARY_SYNC_MAX_REPLICA_LAG", default_value = "30s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub max_replica_lag: Duration,
    /// How many connections to open at the most.
    #[arg(long, env = "LIBRARY_SYNC_DATABASE_CONNECTIONS", default_value_t = 10, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,
    /// How long a request waits for its user's turn to use the database before it is answered UNAVAILABLE.
    #[arg(long, env = "LIBRARY_SYNC_DATABASE_WAIT", default_value = "5s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub database_wait: Duration,
    /// How long one SQL statement may run; on SQLite, one that reads, and how long one waits for another process's lock.
    /// A query or a change may take twice that and `--database-wait` in all. 0s for no limit.
    #[arg(long, env = "LIBRARY_SYNC_STATEMENT_TIMEOUT", default_value = "15s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub statement_timeout: Duration,
    /// How many queries of one user run at once, and how many of their statements that read; the others wait, fairly
    /// among users, for as long as `--database-wait`. At most half of `--database-connections`. By default 4; on SQLite,
    /// which reads on the server's own cores, half of those if that is less.
    #[arg(long, env = "LIBRARY_SYNC_MAX_USER_READS", value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..))]
    pub max_user_reads: Option<u32>,
}

/// What tokens are checked with. Exactly one of the first three is needed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct Keys {
    /// The secret that HS256 tokens are signed with, at least 32 bytes.
    #[arg(
        long,
        env = "LIBRARY_SYNC_JWT_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// The public key of RS256, ES256 or EdDSA tokens: PEM, or the path of a PEM file.
    #[arg(
        long,
        env = "LIBRARY_SYNC_JWT_PUBLIC_KEY",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "PEM|FILE"
    )]
    pub jwt_public_key: Option<Secret>,
    /// The address of a key server's JWKS, https unless on this machine. Its keys may rotate.
    #[arg(
        long,
        env = "LIBRARY_SYNC_JWKS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub jwks_url: Option<Secret>,
    /// The least time between two requests to the key server, whatever key ids tokens name.
    #[arg(long, env = "LIBRARY_SYNC_JWKS_REFETCH", default_value = "30s", value_name = "DURATION",
        value_parser = parse_period)]
    pub jwks_refetch: Duration,
    /// The `iss` that tokens must have.
    #[arg(long, env = "LIBRARY_SYNC_JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The `aud` that tokens must have.
    #[arg(long, env = "LIBRARY_SYNC_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// By how much the clocks of the issuer and this server may differ.
    #[arg(long, env = "LIBRARY_SYNC_JWT_LEEWAY", default_value = "5s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub jwt_leeway: Duration,
    /// The cookie that may hold the token. Off when not given.
    #[arg(long, env = "LIBRARY_SYNC_SESSION_COOKIE", value_name = "NAME")]
    pub session_cookie: Option<String>,
    /// The origins whose pages may use the cookie and read answers, separated by commas, such as
    /// `https://app.example`. The server's own origin is always allowed.
    #[arg(long, env = "LIBRARY_SYNC_ALLOWED_ORIGINS", default_value = "", hide_default_value = true,
        value_name = "ORIGINS", value_parser = parse_origins)]
    pub allowed_origins: Origins,
}

/// Where and how to serve.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub struct Http {
    /// Where to listen.
    #[arg(
        long,
        env = "LIBRARY_SYNC_LISTEN",
        default_value = "127.0.0.1:4000",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
    /// Where to serve /healthz, /readyz and /metrics apart from clients, so that they can be asked for however many
    /// connections clients have open. /metrics is then served there alone.
    #[arg(long, env = "LIBRARY_SYNC_OPS_LISTEN", value_name = "ADDRESS:PORT")]
    pub ops_listen: Option<SocketAddr>,
    /// Do not migrate the database at start.
    #[arg(long, env = "LIBRARY_SYNC_NO_MIGRATE")]
    pub no_migrate: bool,
    /// Serve the playground at /playground.
    #[arg(long, env = "LIBRARY_SYNC_PLAYGROUND")]
    pub playground: bool,
    /// The largest request body, in bytes, and the largest message of a WebSocket after connection_ack.
    #[arg(long, env = "LIBRARY_SYNC_MAX_BODY", default_value_t = 2 << 20, value_name = "BYTES")]
    pub max_body: usize,
    /// How long a client may take to send a request's body.
    #[arg(long, env = "LIBRARY_SYNC_BODY_TIMEOUT", default_value = "30s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub body_timeout: Duration,
    /// How many GraphQL operations one HTTP request may hold; 0 takes no batches.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_BATCH",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    pub max_batch: usize,
    /// How many GraphQL documents to keep so that clients can send their hashes instead (Apollo's "automatic persisted
    /// queries"); 0 keeps none.
    #[arg(
        long,
        env = "LIBRARY_SYNC_PERSISTED_DOCUMENTS",
        default_value_t = 1_000,
        value_name = "COUNT"
    )]
    pub persisted_documents: usize,
    /// A JSON file of GraphQL documents by id, `{"id": "query ..."}`, which clients can send the ids of.
    #[arg(long, env = "LIBRARY_SYNC_TRUSTED_DOCUMENTS", value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,
    /// Run no other GraphQL documents than those.
    #[arg(
        long,
        env = "LIBRARY_SYNC_ONLY_TRUSTED_DOCUMENTS",
        requires = "trusted_documents"
    )]
    pub only_trusted_documents: bool,
    /// The most requests a second of one user, ten seconds' worth at once. 0 for no limit.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_USER_RATE",
        default_value_t = 100,
        value_name = "COUNT"
    )]
    pub max_user_rate: u32,
    /// The most requests a second from one address, ten seconds' worth at once. 0 for no limit.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_ADDRESS_RATE",
        default_value_t = 1_000,
        value_name = "COUNT"
    )]
    pub max_address_rate: u32,
    /// The header in which your proxy tells its client's address, such as `x-forwarded-for`; its last entry counts.
    /// Without it the address is the peer's, which behind a proxy is the proxy's for everybody.
    #[arg(
        long,
        env = "LIBRARY_SYNC_CLIENT_ADDRESS_HEADER",
        value_name = "HEADER"
    )]
    pub client_address_header: Option<HeaderName>,
    /// The most connections at once; fewer where the limit of open files, which is raised as far as the system lets it,
    /// leaves the server too few for itself. Past them, only probes are answered.
    #[arg(long, env = "LIBRARY_SYNC_MAX_CONNECTIONS", default_value_t = 100_000, value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=10_000_000).map(|count| count as usize))]
    pub max_connections: usize,
    /// How long a client may take to begin its first request, and to send a request's header once it has begun.
    #[arg(long, env = "LIBRARY_SYNC_HEADER_TIMEOUT", default_value = "10s", value_name = "DURATION",
        value_parser = parse_period)]
    pub header_timeout: Duration,
    /// How long a connection is kept open between requests. To be longer than your proxy keeps its connections, or now
    /// and then a request meets a connection that is being closed.
    #[arg(long, env = "LIBRARY_SYNC_IDLE_TIMEOUT", default_value = "75s", value_name = "DURATION",
        value_parser = parse_period)]
    pub idle_timeout: Duration,
    /// How long to serve on as if nothing were, but for /readyz, once told to stop: longer than it takes your balancer
    /// to notice.
    #[arg(long, env = "LIBRARY_SYNC_SHUTDOWN_DELAY", default_value = "0s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub shutdown_delay: Duration,
    /// How long requests under way may take to finish after that.
    #[arg(long, env = "LIBRARY_SYNC_SHUTDOWN_GRACE", default_value = "15s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub shutdown_grace: Duration,
}

/// What one GraphQL operation may ask for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GraphQL")]
pub struct Graphql {
    /// The longest document, in bytes.
    #[arg(long, env = "LIBRARY_SYNC_MAX_DOCUMENT", default_value_t = 64 << 10, value_name = "BYTES")]
    pub max_document: usize,
    /// The most tokens in a document.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_TOKENS",
        default_value_t = 4_000,
        value_name = "COUNT"
    )]
    pub max_tokens: usize,
    /// The deepest selection. The introspection query of common tools is 13 deep.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_DEPTH",
        default_value_t = 16,
        value_name = "COUNT"
    )]
    pub max_depth: usize,
    /// The most fields that an operation may count as. Fields of one name in one place count once. Those of a list count
    /// for each element: as many as `first` says, else 10, or 2,500 in a list of all tags or fandoms. A field that is read
    /// by itself (`storyCount`, a story's `tags`, `fandoms` and `progress`, a progress's `story`) counts 2 more, for 100
    /// elements where 10 are assumed. `totalCount`, `stats`, `topTags` and `topFandoms` count 1,000 more, each word of
    /// a search 500, each change of `libraryChanges` at least 20.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_COMPLEXITY",
        default_value_t = 50_000,
        value_name = "COUNT"
    )]
    pub max_complexity: usize,
    /// The most aliases in an operation.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_ALIASES",
        default_value_t = 50,
        value_name = "COUNT"
    )]
    pub max_aliases: usize,
    /// The most elements in a page of a list.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_PAGE",
        default_value_t = 100,
        value_name = "COUNT"
    )]
    pub max_page: u32,
    /// The most changes in a page of `libraryChanges`.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_CHANGES",
        default_value_t = 1_000,
        value_name = "COUNT"
    )]
    pub max_changes: u32,
    /// The most bytes of texts and labels in a page of `libraryChanges`: a page ends with the change that passes this.
    #[arg(long, env = "LIBRARY_SYNC_MAX_CHANGES_BYTES", default_value_t = 4 << 20, value_name = "BYTES")]
    pub max_changes_bytes: u64,
    /// The most text in the answer of a query, in bytes. The rows of its lists may hold four times that.
    #[arg(long, env = "LIBRARY_SYNC_MAX_ANSWER", default_value_t = 16 << 20, value_name = "BYTES")]
    pub max_answer: usize,
    /// The most words that one operation may search for. Each counts once for the list and once for its `totalCount`.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_SEARCH_WORDS",
        default_value_t = 20,
        value_name = "COUNT"
    )]
    pub max_search_words: usize,
    /// Do not tell the schema to clients.
    #[arg(long, env = "LIBRARY_SYNC_NO_INTROSPECTION")]
    pub no_introspection: bool,
}

/// How versions are pushed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Streams")]
pub struct Streams {
    /// What carries notices between nodes: `memory:` (none; for a server that is alone), `postgres:` (the database
    /// itself, or another by `postgres://user:password@host/name`), `redis://user:password@host:6379`,
    /// `redis+sentinel://host:26379,host:26379/master`, `redis+cluster://host:6379,host:6379` (`rediss` in place of
    /// `redis` for TLS) or `nats://user:password@host:4222,host:4222` (`tls` in place of `nats` for TLS). Installations
    /// that share a server need a prefix each: `redis://host?prefix=books`.
    #[arg(
        long,
        env = "LIBRARY_SYNC_BROKER_URL",
        default_value = "memory:",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub broker_url: Secret,
    /// The period of heartbeats on streams, and of re-reading watched versions.
    #[arg(long, env = "LIBRARY_SYNC_HEARTBEAT", default_value = "30s", value_name = "DURATION",
        value_parser = parse_period)]
    pub heartbeat: Duration,
    /// How many streams of one user may be open, over all transports.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_STREAMS_PER_USER",
        default_value_t = 20,
        value_name = "COUNT"
    )]
    pub max_streams_per_user: usize,
    /// How many streams may be open in all.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_STREAMS",
        default_value_t = 100_000,
        value_name = "COUNT"
    )]
    pub max_streams: usize,
    /// How long a stream may last, give or take a tenth. 0s: as long as its token.
    #[arg(long, env = "LIBRARY_SYNC_MAX_STREAM_LIFE", default_value = "1h", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub max_stream_life: Duration,
    /// How many operations may run at once on one WebSocket.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_OPERATIONS_PER_SOCKET",
        default_value_t = 50,
        value_name = "COUNT"
    )]
    pub max_operations_per_socket: usize,
    /// The most messages a second that are read from one WebSocket, ten seconds' worth at once; a long one counts once
    /// for each 4 KiB. What comes faster waits. 0 for no limit.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_MESSAGE_RATE",
        default_value_t = 200,
        value_name = "COUNT"
    )]
    pub max_message_rate: u32,
    /// How long a WebSocket may take to send connection_init.
    #[arg(long, env = "LIBRARY_SYNC_INIT_TIMEOUT", default_value = "3s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub init_timeout: Duration,
    /// The largest message of a WebSocket until connection_ack, in bytes.
    #[arg(long, env = "LIBRARY_SYNC_MAX_INIT_MESSAGE", default_value_t = 16 << 10, value_name = "BYTES")]
    pub max_init_message: usize,
    /// How many WebSockets may be open without connection_ack. One more closes the oldest of them with 1013. 0 for no
    /// limit.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_PENDING_SOCKETS",
        default_value_t = 3_000,
        value_name = "COUNT"
    )]
    pub max_pending_sockets: usize,
    /// How many of them may be from one address; further ones are refused. 0 for no limit.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_PENDING_SOCKETS_PER_ADDRESS",
        default_value_t = 1_000,
        value_name = "COUNT"
    )]
    pub max_pending_sockets_per_address: usize,
    /// How long a ticket for opening a stream can be used.
    #[arg(long, env = "LIBRARY_SYNC_TICKET_LIFE", default_value = "30s", value_name = "DURATION",
        value_parser = parse_period)]
    pub ticket_life: Duration,
    /// How long a client may leave what it was sent unread before its connection is dropped. One that has fallen behind
    /// is also dropped if it reads less than 4 KiB a second on average, beyond that time.
    #[arg(long, env = "LIBRARY_SYNC_WRITE_TIMEOUT", default_value = "10s", value_name = "DURATION",
        value_parser = parse_period)]
    pub write_timeout: Duration,
    /// Over how long the ends of streams are spread when the server stops; no longer than `--shutdown-grace`.
    #[arg(long, env = "LIBRARY_SYNC_DRAIN_SPREAD", default_value = "5s", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub drain_spread: Duration,
}

/// What is kept for clients that come back.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub struct Retention {
    /// How long a device may be away and still be told what changed, rather than start afresh.
    #[arg(long, env = "LIBRARY_SYNC_KEEP_HISTORY", default_value = "90d", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub keep_history: Duration,
    /// How long a mutation may wait to be sent again under its idempotency key.
    #[arg(long, env = "LIBRARY_SYNC_KEEP_RECEIPTS", default_value = "30d", value_name = "DURATION",
        value_parser = humantime::parse_duration)]
    pub keep_receipts: Duration,
    /// How often to purge what is older, first when the server has run for so long.
    #[arg(long, env = "LIBRARY_SYNC_PURGE_EVERY", default_value = "1h", value_name = "DURATION",
        value_parser = parse_period)]
    pub purge_every: Duration,
}

/// How much one user may keep.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits of a library")]
pub struct Limits {
    /// The most stories of one user. 0 for no limit.
    #[arg(
        long,
        env = "LIBRARY_SYNC_MAX_STORIES",
        default_value_t = 200_000,
        value_name = "COUNT"
    )]
    pub max_stories: u32,
    /// The most bytes of one user's library: the texts of stories, notes and names of labels in UTF-8, and 32 for each
    /// label on a story. On disk, with what they are searched by, a library takes two to four times that. 0 for no limit.
    #[arg(long, env = "LIBRARY_SYNC_MAX_LIBRARY_BYTES", default_value_t = 512 << 20, value_name = "BYTES")]
    pub max_library_bytes: u64,
    /// The most bytes of one user's receipts, by which mutations sent again under their idempotency key are answered.
    /// The oldest make room for new ones. 0 for no limit.
    #[arg(long, env = "LIBRARY_SYNC_MAX_RECEIPT_BYTES", default_value_t = 16 << 20, value_name = "BYTES")]
    pub max_receipt_bytes: u64,
    /// The most bytes of one user's history: what fields and removed rows held, and 200 for each record. When there is
    /// more, the oldest is purged, and a device that was last synchronized before it starts afresh. No change is refused.
    /// 0 for no limit.
    #[arg(long, env = "LIBRARY_SYNC_MAX_HISTORY_BYTES", default_value_t = 64 << 20, value_name = "BYTES")]
    pub max_history_bytes: u64,
}

impl From<Limits> for crate::library::Limits {
    fn from(limits: Limits) -> Self {
        let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        Self {
            stories: limits.max_stories.into(),
            bytes: bytes(limits.max_library_bytes),
            receipt_bytes: bytes(limits.max_receipt_bytes),
            history_bytes: bytes(limits.max_history_bytes),
        }
    }
}

/// `library-sync epoch`.
#[derive(Debug, Clone, Args)]
pub struct Epoch {
    /// What to do.
    #[command(subcommand)]
    pub action: EpochAction,
}

/// What to do with epochs.
#[derive(Debug, Clone, Subcommand)]
pub enum EpochAction {
    /// Begin one.
    New {
        /// For this user alone; for everybody when not given.
        #[arg(long, value_name = "SUBJECT")]
        user: Option<String>,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
}

/// `library-sync migrate`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// Which way.
    #[command(subcommand)]
    pub direction: Direction,
}

/// Which way to migrate.
#[derive(Debug, Clone, Subcommand)]
pub enum Direction {
    /// Apply every change that the database has not had.
    Up(Database),
    /// Undo the newest changes. What only they hold is lost.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1, value_name = "COUNT")]
        steps: u32,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// List the changes and which of them the database has had.
    Status(Database),
}

/// `library-sync token`.
#[derive(Debug, Clone, Args)]
pub struct Token {
    /// Whom the token names.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// How long it is accepted.
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub ttl: Duration,
    /// The secret to sign with, at least 32 bytes.
    #[arg(
        long,
        env = "LIBRARY_SYNC_JWT_SECRET",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// The `iss` to put in.
    #[arg(long, env = "LIBRARY_SYNC_JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The `aud` to put in.
    #[arg(long, env = "LIBRARY_SYNC_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
}

impl Database {
    /// How to open it.
    ///
    /// # Errors
    /// When no address is given anywhere, or one is malformed.
    pub fn options(&self, opening: Opening) -> anyhow::Result<DatabaseOptions> {
        let url = self.url().context(
            "no database is named: give --database-url, or set LIBRARY_SYNC_DATABASE_URL or DATABASE_URL",
        )?;
        let replica = self.read_database_url.as_ref();
        let replica = replica
            .map(|url| DatabaseAddress::parse(&url.0))
            .transpose();
        Ok(DatabaseOptions {
            address: DatabaseAddress::parse(&url.0).context(self.setting())?,
            replica: replica.context("--read-database-url (LIBRARY_SYNC_READ_DATABASE_URL)")?,
            opening,
            max_replica_lag: self.max_replica_lag,
            max_connections: self.database_connections,
            acquire_timeout: self.database_wait,
            statement_timeout: self.statement_timeout,
            max_user_reads: self.max_user_reads,
        })
    }

    fn url(&self) -> Option<Secret> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this module is where the environment is read"
        )]
        let fallback = || std::env::var("DATABASE_URL").ok().map(Secret);
        let given = self.database_url.clone().or_else(fallback);
        given.filter(|url| !url.0.is_empty())
    }

    /// Which setting the address comes from, for errors.
    pub fn setting(&self) -> &'static str {
        match self.database_url {
            Some(_) => "--database-url (LIBRARY_SYNC_DATABASE_URL)",
            None => "DATABASE_URL",
        }
    }
}

/// A value that must not be shown.
#[derive(Clone)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

fn parse_period(text: &str) -> Result<Duration, String> {
    let period = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if period < Duration::from_millis(100) {
        return Err("must be at least 100ms".to_owned());
    }
    Ok(period)
}

fn parse_origins(text: &str) -> Result<Origins, String> {
    let origins = text
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty());
    Origins::parse(origins).map_err(|error| error.to_string())
}
