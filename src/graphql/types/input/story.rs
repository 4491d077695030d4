//! Inputs of the mutations of stories.

use async_graphql::{ID, InputObject, MaybeUndefined};

use super::intent::{AgainstInput, IntentInput, clear, label_ids, label_set, set};
use crate::{
    graphql::types::{
        id::{progress_id, story_id},
        progress::ReadingStatus,
        story::{PublicationStatus, StorySource},
    },
    library::{
        Against, Error, Intent, NewEntry, ProgressState, Rating, Source, StoryContent, StoryId,
        StoryPatch, StoryState, parse_url,
    },
};

/// A story to create, with its progress.
#[derive(InputObject)]
pub(in crate::graphql) struct CreateStoryWithProgressInput {
    /// Title of 1 to 500 characters.
    title: String,
    /// Address of at most 2,048 bytes: an http or https URL, or a URN. No other story may have it, however it is spelled.
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
    /// Ids of the story's tags, at most 100. Null means none.
    tag_ids: Option<Vec<ID>>,
    /// Ids of the story's fandoms, at most 100. Null means none.
    fandom_ids: Option<Vec<ID>>,
    /// Reading status. Null means NOT_STARTED.
    reading_status: Option<ReadingStatus>,
    /// Number of the last chapter that was read, from 0. Null means 0.
    current_chapter: Option<i32>,
    /// Rating from 0.0 to 5.0 in steps of 0.1. Null means not rated.
    rating: Option<f64>,
    /// The user's notes, at most 10,000 characters. Null means none.
    notes: Option<String>,
    /// Client-generated UUID of the story, preferably of version 7. Null means that the server makes one.
    story_id: Option<ID>,
    /// Client-generated UUID of the progress, preferably of version 7. Null means that the server makes one.
    progress_id: Option<ID>,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl CreateStoryWithProgressInput {
    pub fn into_new_entry(self) -> Result<(NewEntry, Intent), Error> {
        let (url, parsed) = parse_url(&self.url)?;
        let new = NewEntry {
            story_id: self
                .story_id
                .map(|id| story_id("storyId", &id))
                .transpose()?,
            progress_id: self
                .progress_id
                .map(|id| progress_id("progressId", &id))
                .transpose()?,
            story: StoryState {
                content: StoryContent {
                    title: self.title,
                    author: self.author.unwrap_or_default(),
                    url,
                    source: self.source.map_or_else(|| Source::of(&parsed), Into::into),
                    status: self.publication_status.map(Into::into).unwrap_or_default(),
                    description: self.description,
                    summary: self.summary,
                    chapter_count: self.chapter_count,
                    word_count: self.word_count,
                    is_nsfw: self.is_nsfw.unwrap_or_default(),
                },
                tag_ids: label_ids("tagIds", &self.tag_ids.unwrap_or_default())?,
                fandom_ids: label_ids("fandomIds", &self.fandom_ids.unwrap_or_default())?,
            },
            progress: ProgressState {
                status: self.reading_status.map(Into::into).unwrap_or_default(),
                current_chapter: self.current_chapter.unwrap_or_default(),
                rating: self.rating.map(Rating::from_stars).transpose()?,
                notes: self.notes,
            },
        };
        let intent = self.intent.of("createStoryWithProgress", &new)?;
        Ok((new, intent))
    }
}

/// Changes of a story. A field that is omitted keeps its value.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateStoryWithRelationsInput {
    /// UUID of the story to change.
    id: ID,
    /// Title of 1 to 500 characters. It cannot be null.
    title: MaybeUndefined<String>,
    /// Author, at most 200 characters. Null means "Unknown".
    author: MaybeUndefined<String>,
    /// Address of at most 2,048 bytes: an http or https URL, or a URN. No other story may have it, however it is spelled.
    /// It cannot be null.
    url: MaybeUndefined<String>,
    /// Site on which the story is published. It cannot be null.
    source: MaybeUndefined<StorySource>,
    /// Publication status. It cannot be null.
    publication_status: MaybeUndefined<PublicationStatus>,
    /// Description by the author or site, at most 10,000 characters. Null clears it.
    description: MaybeUndefined<String>,
    /// The user's own summary, at most 10,000 characters. Null clears it.
    summary: MaybeUndefined<String>,
    /// Number of published chapters, from 0. Null clears it.
    chapter_count: MaybeUndefined<i32>,
    /// Number of published words, from 0. Null clears it.
    word_count: MaybeUndefined<i32>,
    /// Whether the story is not safe for work. It cannot be null.
    is_nsfw: MaybeUndefined<bool>,
    /// Ids of all tags that the story is to have, at most 100. Null takes all tags off.
    tag_ids: MaybeUndefined<Vec<ID>>,
    /// Ids of all fandoms that the story is to have, at most 100. Null takes all fandoms off.
    fandom_ids: MaybeUndefined<Vec<ID>>,
    #[graphql(flatten)]
    against: AgainstInput,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl UpdateStoryWithRelationsInput {
    pub fn into_change(self) -> Result<(StoryId, StoryPatch, Against, Intent), Error> {
        let patch = StoryPatch {
            title: set("title", self.title)?,
            author: clear(self.author).map(Option::unwrap_or_default),
            url: set("url", self.url)?,
            source: set("source", self.source)?.map(Into::into),
            status: set("publicationStatus", self.publication_status)?.map(Into::into),
            description: clear(self.description),
            summary: clear(self.summary),
            chapter_count: clear(self.chapter_count),
            word_count: clear(self.word_count),
            is_nsfw: set("isNsfw", self.is_nsfw)?,
            tag_ids: label_set("tagIds", self.tag_ids)?,
            fandom_ids: label_set("fandomIds", self.fandom_ids)?,
        };
        let id = story_id("id", &self.id)?;
        let against = self.against.against(false)?;
        let intent = self
            .intent
            .of_change("updateStoryWithRelations", &(id, &patch, against))?;
        Ok((id, patch, against, intent))
    }
}
