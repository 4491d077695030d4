//! What one operation may ask for.

use std::time::Duration;

use crate::auth::TicketLimits;

/// How many errors of one document are reported.
pub(super) const MOST_ERRORS: usize = 20;

/// What one operation may ask for. Past any of them it is answered with a stable code and not run.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a document may be, in bytes.
    pub document_bytes: usize,
    /// How many tokens a document may have.
    pub tokens: usize,
    /// How many brackets of any kind may be open at once, and how many selections, fragments counted.
    pub nesting: usize,
    /// How many bytes of clients' documents are kept prepared. What is kept of one takes about 20 times its text.
    pub prepared_bytes: usize,
    /// How deep selections may nest. The introspection query of common tools is 13 deep.
    pub depth: usize,
    /// How many fields may be selected, those below a list counted once for each element that was asked for or that it
    /// is taken to have, and what is read by itself for more.
    pub complexity: usize,
    /// How many aliases may be selected.
    pub aliases: usize,
    /// How many directives one field or fragment may carry.
    pub directives: usize,
    /// How many elements a page of a list may hold.
    pub page: u32,
    /// How many entries one `importLibrary` may hold.
    pub import: usize,
    /// How many changes a page of `libraryChanges` may hold.
    pub changes: u32,
    /// How many bytes of texts and labels a page of `libraryChanges` may hold.
    pub changes_bytes: u64,
    /// How many bytes of text the answer of a query may hold.
    pub answer: usize,
    /// How many words one operation may search for.
    pub search_words: usize,
    /// Whether the schema may be asked for its types.
    pub introspection: bool,
    /// The period of heartbeats in `libraryEvents`.
    pub heartbeat: Duration,
    /// How long tickets live, and how many there may be.
    pub tickets: TicketLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 64 << 10,
            tokens: 4_000,
            nesting: 64,
            prepared_bytes: 1 << 20,
            depth: 16,
            complexity: 50_000,
            aliases: 50,
            directives: 16,
            page: 100,
            import: 5_000,
            changes: 1_000,
            changes_bytes: 4 << 20,
            answer: 16 << 20,
            search_words: 20,
            introspection: true,
            heartbeat: Duration::from_secs(30),
            tickets: TicketLimits::default(),
        }
    }
}
