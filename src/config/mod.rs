//! Settings, read once from flags and environment variables.
//!
//! A flag and its variable are one setting: `--max-body` is `LIBRARY_SYNC_MAX_BODY`. The flag takes precedence. A part
//! with limits declares their flags in its limit struct, which is flattened here. Only `main`, `app` and the commands read
//! the other structs.
//!
//! **Invariant:** `--help`, `Debug` and errors never contain a secret.

mod adopt;
mod authjs;
mod backup;
mod canary;
mod cli;
mod database;
mod dev;
mod doctor;
mod epoch;
mod erase;
mod http;
mod import_export;
mod log;
mod migrate;
mod push;
mod redaction;
mod retention;
mod secret;
mod serve;
mod streams;
mod token;
mod tokens;
mod tracing;
mod why;

pub use self::{
    adopt::Adopt,
    authjs::Authjs,
    backup::{Backup, Restore},
    canary::Canary,
    cli::{Cli, Command},
    database::Database,
    dev::Dev,
    doctor::{Doctor, Examination},
    epoch::{Epoch, EpochAction},
    erase::Erase,
    http::Http,
    import_export::{Export, FileFormat, FileKind, Import},
    log::Log,
    migrate::{Direction, Migrate},
    push::Push,
    redaction::redacted,
    retention::Retention,
    secret::Secret,
    serve::Serve,
    streams::Streams,
    token::Token,
    tokens::Keys,
    tracing::Tracing,
    why::Why,
};

/// Returns the default values of flags.
#[cfg(test)]
pub(crate) fn defaults<T: clap::Args>() -> T {
    let matches = T::augment_args(clap::Command::new("test")).get_matches_from(["test"]);
    T::from_arg_matches(&matches).unwrap()
}
