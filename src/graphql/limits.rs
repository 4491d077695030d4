//! Limits on one GraphQL operation.

use std::time::Duration;

use clap::Args;

/// Maximum number of errors reported for one document.
pub(super) const MOST_ERRORS: usize = 20;

/// Maximum number of open brackets of any kind, and of nested selections with fragments expanded.
pub(super) const MAX_NESTING: usize = 64;

/// Maximum number of directives on one field or fragment.
pub(super) const MAX_DIRECTIVES: usize = 16;

/// Maximum number of entries in one `importLibrary`.
pub(super) const MAX_IMPORT_ENTRIES: usize = 5_000;

/// Total size of the client documents that are kept prepared, in bytes. A prepared document takes about 20 times the
/// memory of its text.
pub(super) const PREPARED_BYTES: usize = 1 << 20;

/// What each of them counts beside its text, in bytes. It bounds their number too.
pub(super) const PREPARED_DOCUMENT: usize = 80;

/// Limits on one GraphQL operation. An operation over a limit gets a stable error code and does not run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GraphQL")]
#[group(id = "graphql-limits")]
pub struct Limits {
    /// Maximum size of a GraphQL document, in bytes.
    #[arg(long, env, default_value_t = 64 << 10, value_name = "BYTES")]
    pub max_document: usize,
    /// Maximum number of tokens in a document.
    #[arg(long, env, default_value_t = 4_000, value_name = "COUNT")]
    pub max_tokens: usize,
    /// Maximum depth of selections. The introspection query of common tools has a depth of 13.
    #[arg(long, env, default_value_t = 16, value_name = "COUNT")]
    pub max_depth: usize,
    /// Maximum complexity of an operation, in fields. Fields with the same response name and parent count once. A field of
    /// a list counts once for each element: `first` elements, or 10 without `first`, or 2,500 in a list of all tags or
    /// fandoms. A field with its own database read (`storyCount`, a story's `tags`, `fandoms` and `progress`, a
    /// progress's `story`) counts 2 more, and for 100 elements where 10 are assumed. `totalCount`, `stats`, `topTags` and
    /// `topFandoms` count 1,000 more, each word of a search 500, and each change of `libraryChanges` at least 20.
    #[arg(long, env, default_value_t = 50_000, value_name = "COUNT")]
    pub max_complexity: usize,
    /// Maximum number of aliases in an operation.
    #[arg(long, env, default_value_t = 50, value_name = "COUNT")]
    pub max_aliases: usize,
    /// Maximum page size of a list. At least 20, which is the default of `first`.
    #[arg(
        long,
        env,
        default_value_t = 100,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(20..)
    )]
    pub max_page: u32,
    /// Maximum number of changes in a page of `libraryChanges`. At least 500, which is the default of `first`.
    #[arg(
        long,
        env,
        default_value_t = 1_000,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(500..)
    )]
    pub max_changes: u32,
    /// Maximum size of the texts and labels in a page of `libraryChanges`, in bytes. The change that exceeds it is the
    /// last of its page.
    #[arg(long, env, default_value_t = 4 << 20, value_name = "BYTES")]
    pub max_changes_bytes: u64,
    /// Maximum size of the text in a query's response, in bytes. The database rows of its lists may hold four times that.
    #[arg(long, env, default_value_t = 16 << 20, value_name = "BYTES")]
    pub max_answer: usize,
    /// Maximum number of search words in one operation. Each word counts once for the list and once for its `totalCount`.
    #[arg(long, env, default_value_t = 20, value_name = "COUNT")]
    pub max_search_words: usize,
    /// Disable introspection.
    #[arg(long, env)]
    pub no_introspection: bool,
    /// Heartbeat interval of `libraryEvents`.
    #[arg(skip = Duration::from_secs(30))]
    pub heartbeat: Duration,
    /// Lifetime of a ticket.
    #[arg(skip = Duration::from_secs(30))]
    pub ticket_life: Duration,
}
