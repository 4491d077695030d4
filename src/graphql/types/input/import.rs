//! What `importLibrary` takes.

use async_graphql::InputObject;

use super::intent::IntentInput;
use crate::{
    graphql::types::{
        progress::ReadingStatus,
        story::{PublicationStatus, StorySource},
    },
    library::{EntryLine, Error, Intent},
};

/// Entries to add.
#[derive(InputObject)]
pub(in crate::graphql) struct ImportLibraryInput {
    /// The entries, at most 5,000. A request's body has a limit of its own, 2 MiB unless configured: send
    /// long texts in several goes.
    entries: Vec<ImportEntry>,
    #[graphql(flatten)]
    intent: IntentInput,
}

/// An entry to add, labels by name.
#[derive(InputObject)]
struct ImportEntry {
    /// 1 to 500 characters.
    title: String,
    /// An http or https address, or a URN, of at most 2,048 bytes. An entry whose address is in your library, or in an entry
    /// before it, is passed over.
    url: String,
    /// At most 200 characters; "Unknown" when absent.
    author: Option<String>,
    /// Recognized by the url when absent.
    source: Option<StorySource>,
    /// ONGOING when absent.
    publication_status: Option<PublicationStatus>,
    /// At most 10,000 characters.
    description: Option<String>,
    /// At most 10,000 characters.
    summary: Option<String>,
    /// Not negative.
    chapter_count: Option<i32>,
    /// Not negative.
    word_count: Option<i32>,
    /// false when absent.
    is_nsfw: Option<bool>,
    /// Names of tags, at most 100. Those that you do not have, in whatever case, are made.
    tags: Option<Vec<String>>,
    /// Names of fandoms, at most 100. Those that you do not have, in whatever case, are made.
    fandoms: Option<Vec<String>>,
    /// NOT_STARTED when absent.
    reading_status: Option<ReadingStatus>,
    /// Not negative; 0 when absent.
    current_chapter: Option<i32>,
    /// From 0.0 to 5.0 in steps of 0.1.
    rating: Option<f64>,
    /// At most 10,000 characters.
    notes: Option<String>,
}

impl ImportLibraryInput {
    pub fn into_lines(self, most: usize) -> Result<(Vec<EntryLine>, Intent), Error> {
        if self.entries.len() > most {
            return Err(Error::Invalid {
                field: "entries",
                message: format!("at most {most} of them"),
            });
        }
        let lines: Vec<EntryLine> = self.entries.into_iter().map(Into::into).collect();
        let intent = self.intent.of("importLibrary", &lines)?;
        Ok((lines, intent))
    }
}

impl From<ImportEntry> for EntryLine {
    fn from(entry: ImportEntry) -> Self {
        Self {
            title: entry.title,
            author: entry.author,
            url: entry.url,
            source: entry.source.map(Into::into),
            publication_status: entry.publication_status.map(Into::into),
            description: entry.description,
            summary: entry.summary,
            chapter_count: entry.chapter_count,
            word_count: entry.word_count,
            is_nsfw: entry.is_nsfw,
            tags: entry.tags.unwrap_or_default(),
            fandoms: entry.fandoms.unwrap_or_default(),
            reading_status: entry.reading_status.map(Into::into),
            current_chapter: entry.current_chapter,
            rating: entry.rating,
            notes: entry.notes,
        }
    }
}
