//! Input of `importLibrary`.

use async_graphql::InputObject;

use super::intent::IntentInput;
use crate::{
    graphql::types::{
        progress::ReadingStatus,
        story::{PublicationStatus, StorySource},
    },
    library::{EntryLine, Error, Intent},
};

/// Entries to import.
#[derive(InputObject)]
pub(in crate::graphql) struct ImportLibraryInput {
    /// Entries, at most 5,000. The body of a request has a limit of 2 MiB unless the server is configured otherwise,
    /// so long texts may need several mutations.
    entries: Vec<ImportEntry>,
    #[graphql(flatten)]
    intent: IntentInput,
}

/// An entry to import, with its labels by name.
#[derive(InputObject)]
struct ImportEntry {
    /// Title of 1 to 500 characters.
    title: String,
    /// Address of at most 2,048 bytes: an http or https URL, or a URN. An entry is skipped if its address is in the
    /// library or in an earlier entry.
    url: String,
    /// Author, at most 200 characters. Null means "Unknown".
    author: Option<String>,
    /// Site on which the story is published. Null means recognized by the URL.
    source: Option<StorySource>,
    /// Publication status. Null means ONGOING.
    publication_status: Option<PublicationStatus>,
    /// Description by the author or site, at most 10,000 characters. Null means none.
    description: Option<String>,
    /// The user's own summary, at most 10,000 characters. Null means none.
    summary: Option<String>,
    /// Number of published chapters, from 0. Null means unknown.
    chapter_count: Option<i32>,
    /// Number of published words, from 0. Null means unknown.
    word_count: Option<i32>,
    /// Whether the story is not safe for work. Null means false.
    is_nsfw: Option<bool>,
    /// Names of tags, at most 100. A tag that does not exist yet, ignoring case, is created. Null means none.
    tags: Option<Vec<String>>,
    /// Names of fandoms, at most 100. A fandom that does not exist yet, ignoring case, is created. Null means none.
    fandoms: Option<Vec<String>>,
    /// Reading status. Null means NOT_STARTED.
    reading_status: Option<ReadingStatus>,
    /// Number of the last chapter that was read, from 0. Null means 0.
    current_chapter: Option<i32>,
    /// Rating from 0.0 to 5.0 in steps of 0.1. Null means not rated.
    rating: Option<f64>,
    /// The user's notes, at most 10,000 characters. Null means none.
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
