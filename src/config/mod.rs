//! Everything that can be set, read once from flags and the environment.
//!
//! A flag and its variable are one setting: `--max-body` is `LIBRARY_SYNC_MAX_BODY`, and the flag wins. Only `main`
//! and `app` read these structs; every other module takes plain values.
//!
//! **Invariant:** a secret never shows: not in `--help`, not in `Debug`, not in an error.

mod backup;
mod cli;
mod database;
mod dev;
mod epoch;
mod graphql;
mod http;
mod import_export;
mod limits;
mod log;
mod migrate;
mod period;
mod redaction;
mod retention;
mod secret;
mod serve;
mod streams;
mod token;
mod tokens;

pub use self::{
    backup::{Backup, Restore},
    cli::{Cli, Command},
    database::Database,
    dev::Dev,
    epoch::{Epoch, EpochAction},
    graphql::Graphql,
    http::Http,
    import_export::{Export, FileFormat, FileKind, Import},
    limits::Limits,
    log::{Log, LogFormat},
    migrate::{Direction, Migrate},
    redaction::redacted,
    retention::Retention,
    secret::Secret,
    serve::Serve,
    streams::Streams,
    token::Token,
    tokens::Keys,
};
