//! What mutations of stories take.

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

/// A story to add, and how far you have read it.
#[derive(InputObject)]
pub(in crate::graphql) struct CreateStoryWithProgressInput {
    /// 1 to 500 characters.
    title: String,
    /// An http or https address, or a URN, of at most 2,048 bytes. Two spellings of one address are one story.
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
    /// Tags of yours, at most 100.
    tag_ids: Option<Vec<ID>>,
    /// Fandoms of yours, at most 100.
    fandom_ids: Option<Vec<ID>>,
    /// NOT_STARTED when absent.
    reading_status: Option<ReadingStatus>,
    /// Not negative; 0 when absent.
    current_chapter: Option<i32>,
    /// From 0.0 to 5.0 in steps of 0.1.
    rating: Option<f64>,
    /// At most 10,000 characters.
    notes: Option<String>,
    /// A UUID of your making for the story, best of version 7, so that you can refer to it before it is sent.
    story_id: Option<ID>,
    /// A UUID of your making for the progress, best of version 7.
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

/// A change of a story. A field that is absent is left alone.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateStoryWithRelationsInput {
    /// The story to change.
    id: ID,
    /// 1 to 500 characters.
    title: MaybeUndefined<String>,
    /// At most 200 characters; null for "Unknown".
    author: MaybeUndefined<String>,
    /// An http or https address, or a URN, of at most 2,048 bytes. Two spellings of one address are one story.
    url: MaybeUndefined<String>,
    /// Where it is published.
    source: MaybeUndefined<StorySource>,
    /// Whether its author still writes it.
    publication_status: MaybeUndefined<PublicationStatus>,
    /// At most 10,000 characters; null clears.
    description: MaybeUndefined<String>,
    /// At most 10,000 characters; null clears.
    summary: MaybeUndefined<String>,
    /// Not negative; null clears.
    chapter_count: MaybeUndefined<i32>,
    /// Not negative; null clears.
    word_count: MaybeUndefined<i32>,
    /// Whether it is not safe for work.
    is_nsfw: MaybeUndefined<bool>,
    /// The tags it is to have, at most 100; null for none.
    tag_ids: MaybeUndefined<Vec<ID>>,
    /// The fandoms it is to have, at most 100; null for none.
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
