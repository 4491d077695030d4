//! The commands.

use std::{
    io::{Write as _, stderr, stdout},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};
use library_sync::{
    app::{self, App},
    auth::{self, Rules},
    backup,
    broker::Memory,
    causes::in_one_line,
    config::{self, Cli, Command, Direction, EpochAction},
    dev, graphql,
    library::{DatabaseOptions, Library, Opening},
    migrate,
    opened::open_database,
    telemetry, transfer,
    version::UserId,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| config::redacted(error).exit());
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes on one line, and no backtrace: what fails here is a setting or the surroundings.
            let _ = writeln!(stderr(), "library-sync: {}", in_one_line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    telemetry::init(&cli.log)?;
    match cli.command {
        Command::Dev(dev) => dev::run(&dev, stop_on_signal()?).await,
        Command::Serve(serve) => {
            // Each connection is an open file; the system's default allows about a thousand.
            if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
                tracing::warn!(%error, "the limit of open files could not be raised");
            }
            let stopping = stop_on_signal()?;
            let app = tokio::select! {
                app = App::build(&serve, stopping.clone()) => app?,
                // It may wait long for another node's migration, and has begun nothing.
                () = stopping.cancelled() => return Ok(()),
            };
            let listener = app::listen(serve.http.listen)?;
            tracing::info!(server.address = %listener.local_addr()?, "serving");
            app.run(listener).await
        }
        Command::Migrate(migrate) => migrate_database(migrate.direction).await,
        Command::Import(import) => transfer::import(&import).await,
        Command::Export(export) => transfer::export(&export).await,
        Command::Backup(backup) => backup::backup(&backup).await,
        Command::Restore(restore) => backup::restore(&restore).await,
        Command::Epoch(epoch) => begin_epoch(epoch.action).await,
        Command::Schema => Ok(stdout().write_all(graphql::sdl().as_bytes())?),
        Command::Token(token) => print_token(token),
    }
}

/// A token that is cancelled when the process is told to stop. A second signal stops it at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let stopping = CancellationToken::new();
    tokio::spawn({
        let stopping = stopping.clone();
        async move {
            let mut stop =
                async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
            stop().await;
            tracing::info!("stopping: finishing what is under way");
            stopping.cancel();
            stop().await;
            tracing::warn!("stopping at once");
            std::process::exit(1);
        }
    });
    Ok(stopping)
}

async fn migrate_database(direction: Direction) -> anyhow::Result<()> {
    let (Direction::Up(database) | Direction::Down { database, .. } | Direction::Status(database)) =
        &direction;
    let options = database.options(match direction {
        Direction::Up(_) => Opening::Create,
        Direction::Down { .. } => Opening::Change,
        Direction::Status(_) => Opening::Read,
    })?;
    let db = open_database(database, &options).await?;
    match direction {
        Direction::Up(_) => migrate::up(&db, &options).await?,
        Direction::Down { steps, .. } => migrate::down(&db, &options, steps).await?,
        Direction::Status(_) => {}
    }
    for (change, applied) in migrate::status(&db, &options).await? {
        writeln!(
            stdout(),
            "{:8} {change}",
            if applied { "applied" } else { "pending" }
        )?;
    }
    Ok(())
}

async fn begin_epoch(EpochAction::New { user, database }: EpochAction) -> anyhow::Result<()> {
    let user = user
        .map(|user| UserId::new(&user))
        .transpose()
        .context("--user")?;
    let options = DatabaseOptions {
        // Whoever runs a command waits for it.
        statement_timeout: Duration::ZERO,
        ..database.options(Opening::Change)?
    };
    let db = open_database(&database, &options).await?;
    let library = Library::new(db, Arc::new(Memory::default()));
    let users = match &user {
        Some(user) => library.begin_epoch(Some(user)).await?,
        None => begin_epochs(&library).await?,
    };
    anyhow::ensure!(users > 0 || user.is_none(), "there is no such user");
    writeln!(stdout(), "{users} users begin a new epoch")?;
    Ok(())
}

/// Begins an epoch for everybody. How far it has come is drawn on standard error, if that is a terminal.
async fn begin_epochs(library: &Library) -> anyhow::Result<u64> {
    let style = ProgressStyle::with_template("{human_pos} users, {per_sec}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let users = library.begin_epochs(|users| bar.set_position(users)).await;
    bar.finish_and_clear();
    Ok(users?)
}

fn print_token(token: config::Token) -> anyhow::Result<()> {
    let secret = token
        .jwt_secret
        .context("no secret to sign with: give --jwt-secret or set LIBRARY_SYNC_JWT_SECRET")?;
    let user = UserId::new(&token.sub).context("--sub")?;
    let rules = Rules {
        issuer: token.jwt_issuer,
        audience: token.jwt_audience,
        ..Rules::default()
    };
    let token =
        auth::mint(secret.0.as_bytes(), &rules, &user, token.ttl).context("--jwt-secret")?;
    writeln!(stdout(), "{token}")?;
    Ok(())
}
