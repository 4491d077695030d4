//! Settings of `library-sync erase`.

use clap::Args;

use super::database::Database;

/// `library-sync erase`.
#[derive(Debug, Clone, Args)]
pub struct Erase {
    /// User whose account is erased: the `sub` claim of their tokens.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// The same user again, to confirm the erasure.
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
