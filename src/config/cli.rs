//! The command line as a whole.

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{
    backup::{Backup, Restore},
    dev::Dev,
    epoch::Epoch,
    import_export::{self, Export, Import},
    log::Log,
    migrate::Migrate,
    serve::Serve,
    token::Token,
};

/// Keeps a reader's library the same on all of their devices.
#[derive(Debug, Args)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What to log.
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

/// Puts `LIBRARY_SYNC_` before the names of environment variables, which clap makes of the names of flags.
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
    #[command(after_long_help = import_export::FILE_HELP)]
    Import(Import),
    /// Write a user's library to a CSV or JSON file.
    ///
    /// All of it is of one moment, whatever is written meanwhile.
    #[command(after_long_help = import_export::FILE_HELP)]
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
