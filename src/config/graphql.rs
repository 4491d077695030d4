//! What one GraphQL operation may ask for.

use clap::Args;

/// What one GraphQL operation may ask for.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GraphQL")]
pub struct Graphql {
    /// The longest document, in bytes.
    #[arg(long, env, default_value_t = 64 << 10, value_name = "BYTES")]
    pub max_document: usize,
    /// The most tokens in a document.
    #[arg(long, env, default_value_t = 4_000, value_name = "COUNT")]
    pub max_tokens: usize,
    /// The deepest selection. The introspection query of common tools is 13 deep.
    #[arg(long, env, default_value_t = 16, value_name = "COUNT")]
    pub max_depth: usize,
    /// The most fields that an operation may count as. Fields of one name in one place count once. Those of a list count
    /// for each element: as many as `first` says, else 10, or 2,500 in a list of all tags or fandoms. A field that is read
    /// by itself (`storyCount`, a story's `tags`, `fandoms` and `progress`, a progress's `story`) counts 2 more, for 100
    /// elements where 10 are assumed. `totalCount`, `stats`, `topTags` and `topFandoms` count 1,000 more, each word of
    /// a search 500, each change of `libraryChanges` at least 20.
    #[arg(long, env, default_value_t = 50_000, value_name = "COUNT")]
    pub max_complexity: usize,
    /// The most aliases in an operation.
    #[arg(long, env, default_value_t = 50, value_name = "COUNT")]
    pub max_aliases: usize,
    /// The most elements in a page of a list.
    #[arg(long, env, default_value_t = 100, value_name = "COUNT")]
    pub max_page: u32,
    /// The most changes in a page of `libraryChanges`.
    #[arg(long, env, default_value_t = 1_000, value_name = "COUNT")]
    pub max_changes: u32,
    /// The most bytes of texts and labels in a page of `libraryChanges`: a page ends with the change that passes this.
    #[arg(long, env, default_value_t = 4 << 20, value_name = "BYTES")]
    pub max_changes_bytes: u64,
    /// The most text in the answer of a query, in bytes. The rows of its lists may hold four times that.
    #[arg(long, env, default_value_t = 16 << 20, value_name = "BYTES")]
    pub max_answer: usize,
    /// The most words that one operation may search for. Each counts once for the list and once for its `totalCount`.
    #[arg(long, env, default_value_t = 20, value_name = "COUNT")]
    pub max_search_words: usize,
    /// Do not tell the schema to clients.
    #[arg(long, env)]
    pub no_introspection: bool,
}
