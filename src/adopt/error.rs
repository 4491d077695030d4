//! Why a database is not adopted or given back.

use sea_orm::DbErr;

/// Why a database is not adopted or given back. It is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite.
    #[error("only a PostgreSQL database can be adopted: the older app has no other")]
    NotPostgres,
    /// No table of the older app.
    #[error("the database has no tables of the older app: there is nothing to adopt")]
    NothingToAdopt,
    /// Already adopted.
    #[error("the database is adopted already: `library-sync adopt --undo` reverts it")]
    AlreadyAdopted,
    /// A foreign schema stands in the way.
    #[error("the schema topaz_before exists and is not of an adoption: rename it")]
    ForeignSchema,
    /// The later schema, with works.
    #[error(
        "the database is a later version of the older app's, with topaz_work instead of topaz_story: its works, \
         contributors and reading states have no equivalent here, so library-sync cannot adopt it"
    )]
    Works,
    /// A table lacks a column that the copy reads.
    #[error("{table} has no column {column}: this version of the older app's tables is unknown")]
    UnknownTables {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Two progresses of one user on one story.
    #[error("user {user} has {count} progresses on story {story}: delete all but one")]
    DoubledProgress {
        /// The user.
        user: String,
        /// The story.
        story: String,
        /// How many.
        count: i64,
    },
    /// A row that the older app's constraints exclude.
    #[error("{table} {id} {why}: correct or delete the row")]
    ImpossibleRow {
        /// The table.
        table: &'static str,
        /// The row's id.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The copy differs from the original. A bug.
    #[error("the copy is not complete, so nothing is changed: {0}")]
    Incomplete(String),
    /// Not adopted.
    #[error("the database is not adopted: there is nothing to undo")]
    NotAdopted,
    /// Readers have changed their libraries since.
    #[error(
        "{users} users have changed their libraries since the adoption, and these changes would be lost: give \
         --discard-changes, or export their libraries first"
    )]
    ChangedSince {
        /// How many users.
        users: i64,
    },
    /// The adoption is in another state than the command needs.
    #[error("the adoption {0}")]
    OtherState(&'static str),
    /// The two sides differ at the cut-over.
    #[error(
        "{differing} entries differ, so nothing is cut over and the adoption stays live: {named}"
    )]
    Differing {
        /// How many entries.
        differing: u64,
        /// The first of them.
        named: String,
    },
    /// A change of the older app could not be written.
    #[error("a change of the older app cannot be copied")]
    Library(#[source] crate::library::Error),
    /// The changes of one user could not be copied.
    #[error("the changes of user {user} cannot be copied")]
    User {
        /// The user.
        user: String,
        /// Why.
        source: Box<Error>,
    },
    /// The report cannot be printed.
    #[error("the report cannot be printed")]
    Print(#[from] std::io::Error),
    /// The database.
    #[error("the database refused a statement")]
    Database(#[from] DbErr),
}
