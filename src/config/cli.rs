//! The command line: commands and their settings.

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{
    adopt::Adopt,
    backup::{Backup, Restore},
    canary::Canary,
    dev::Dev,
    doctor::Doctor,
    epoch::Epoch,
    erase::Erase,
    import_export::{self, Export, Import},
    log::Log,
    migrate::Migrate,
    serve::Serve,
    token::Token,
    why::Why,
};

/// Keeps a reader's library the same on all of their devices.
#[derive(Debug, Args)]
pub struct Cli {
    /// Command to run.
    #[command(subcommand)]
    pub command: Command,
    /// Logging.
    #[command(flatten)]
    pub log: Log,
}

impl Parser for Cli {}

impl CommandFactory for Cli {
    fn command() -> clap::Command {
        let command = clap::Command::new("library-sync")
            .version(env!("CARGO_PKG_VERSION"))
            .propagate_version(true)
            .max_term_width(100);
        let command = Self::augment_args(command).about(env!("CARGO_PKG_DESCRIPTION"));
        with_prefixed_variables(command)
    }

    fn command_for_update() -> clap::Command {
        Self::command()
    }
}

/// Prefixes the names of environment variables, which clap derives from flag names, with `LIBRARY_SYNC_`.
fn with_prefixed_variables(command: clap::Command) -> clap::Command {
    let prefixed = |arg: clap::Arg| match arg.get_env() {
        Some(name) => {
            let name = format!("LIBRARY_SYNC_{}", name.to_string_lossy());
            arg.env(name)
        }
        None => arg,
    };
    command
        .mut_args(prefixed)
        .mut_subcommands(with_prefixed_variables)
}

/// Command to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try library-sync: serve a sample library from SQLite, with a generated key and user.
    Dev(Dev),
    /// Run the server.
    Serve(Box<Serve>),
    /// Examine a set-up, and name what is wrong with the remedy.
    ///
    /// Takes the settings of `serve`, from the same flags and variables, and changes nothing. Checks the settings, the
    /// database, the broker, the key server, push services and the webhook, and with --url the proxy in front of a running
    /// server. The exit code is 0 unless a check failed.
    Doctor(Box<Doctor>),
    /// Write a marked change to running servers, and time its event over each transport of each node.
    ///
    /// For a cron job: the exit code is 0 if the change arrived everywhere in time, and --metrics-file takes the times as
    /// Prometheus text. The change is taken back, so that only the version of the user's library differs.
    Canary(Canary),
    /// Apply, revert or list database migrations.
    Migrate(Migrate),
    /// Take over a PostgreSQL database of the older app, or give it back.
    ///
    /// Moves the older app's tables into the schema topaz_before, migrates, and copies each user's library into the tables
    /// of library-sync, in one transaction. Stop the older app and make a backup first. Prints a line for each row that is
    /// repaired, merged, kept although it breaks a rule, or left out. See docs/moving-from-the-older-app.md.
    Adopt(Adopt),
    /// Import entries into a user's library from CSV, JSON or another program's export.
    ///
    /// Entries with a URL that the library already has are skipped. Entries without a title or with an invalid URL are
    /// refused. Invalid optional cells are left empty. Refusals and invalid cells are reported on standard error with
    /// their line. Each batch of 1,000 entries increments the library version by one. The exit code is 0 unless the file
    /// cannot be parsed, has entries of which none is valid, or exceeds the limits of the library. Batches that were
    /// added before such an error stay.
    #[command(after_long_help = import_export::FILE_HELP)]
    Import(Import),
    /// Export a user's library to a CSV or JSON file.
    ///
    /// The file is a consistent snapshot, even if the library changes during the export.
    #[command(after_long_help = import_export::FILE_HELP)]
    Export(Export),
    /// Erase everything that is stored for a user: library, history, devices and push endpoints. The server may be running.
    ///
    /// It cannot be undone. The user's streams end, and devices that were offline empty themselves
    /// when they reconnect. Backups are
    /// not changed. See docs/operations.md.
    Erase(Erase),
    /// Copy a SQLite database to a new file. The server may be running.
    ///
    /// For PostgreSQL use pg_dump.
    Backup(Backup),
    /// Replace a SQLite database with a backup, and begin a new epoch. Stop the server first.
    ///
    /// The backup is checked and copied. The replaced database is kept under another name. For PostgreSQL, use pg_restore,
    /// then `library-sync epoch new`.
    Restore(Restore),
    /// Begin a new epoch after a restore from a backup, so that clients discard their copies and run a full sync.
    Epoch(Epoch),
    /// Print why the devices of a user are not up to date, and what to do about each. See docs/devices.md.
    ///
    /// Reads what the servers have stored, which is up to --device-interval old.
    Why(Why),
    /// Print the GraphQL schema.
    Schema,
    /// Print a new private key for Web Push (VAPID), in PEM.
    Vapid,
    /// Print a token for a user, signed with the JWT secret.
    Token(Token),
}
