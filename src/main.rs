//! Parses the command line and runs one command.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use clap::Parser as _;
use library_sync::{
    commands,
    config::{self, Cli, Command},
    error_chain::in_one_line,
    telemetry,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| config::redacted(error).exit());
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line without a backtrace: the cause is a setting or the environment, not a bug.
            let _ = writeln!(stderr(), "library-sync: {}", in_one_line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    telemetry::init(&cli.log.filter, cli.log.format)?;
    match cli.command {
        Command::Dev(dev) => commands::dev(&dev).await,
        Command::Serve(serve) => commands::serve(&serve).await,
        Command::Migrate(migrate) => commands::migrate(migrate.direction).await,
        Command::Adopt(adopt) => commands::adopt(&adopt).await,
        Command::Import(import) => commands::import(&import).await,
        Command::Export(export) => commands::export(&export).await,
        Command::Backup(backup) => commands::backup(&backup).await,
        Command::Restore(restore) => commands::restore(&restore).await,
        Command::Epoch(epoch) => commands::epoch(epoch.action).await,
        Command::Schema => commands::schema(),
        Command::Vapid => commands::vapid(),
        Command::Token(token) => commands::token(token),
    }
}
