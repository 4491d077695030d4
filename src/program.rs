//! The program: parses the command line, starts the runtime and runs one command. `main.rs` only calls it, so that the code
//! of all commands is generated once, in the library.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;

use crate::{
    commands,
    config::{self, Cli, Command},
    error_chain::in_one_line,
    telemetry,
};

/// Runs the command that the arguments of this process name, to its end.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| config::redacted(error).exit());
    let ended = start(cli);
    ended.map_or_else(
        |error| {
            // One line without a backtrace: the cause is a setting or the environment, not a bug.
            let _ = writeln!(stderr(), "library-sync: {}", in_one_line(error.as_ref()));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn start(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(command(cli));
    // A read of a file that never ends, as on a lost network mount, does not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn command(cli: Cli) -> anyhow::Result<()> {
    telemetry::init(&cli.log.filter, cli.log.format)?;
    match cli.command {
        Command::Dev(dev) => commands::dev(&dev).await,
        Command::Serve(serve) => commands::serve(&serve).await,
        Command::Canary(canary) => commands::canary(&canary).await,
        Command::Doctor(doctor) => commands::doctor(&doctor).await,
        Command::Migrate(migrate) => commands::migrate(migrate.direction).await,
        Command::Adopt(adopt) => commands::adopt(&adopt).await,
        Command::Import(import) => commands::import(&import).await,
        Command::Export(export) => commands::export(&export).await,
        Command::Backup(backup) => commands::backup(&backup).await,
        Command::Restore(restore) => commands::restore(&restore).await,
        Command::Erase(erase) => commands::erase(&erase).await,
        Command::Epoch(epoch) => commands::epoch(epoch.action).await,
        Command::Why(why) => commands::why(&why).await,
        Command::Schema => commands::schema(),
        Command::Vapid => commands::vapid(),
        Command::Token(token) => commands::token(token),
    }
}
