//! What mutations take: one input object each.

mod import;
mod label;

use std::collections::BTreeSet;

use async_graphql::{Enum, ID, InputObject, MaybeUndefined};
use serde::Serialize;

pub(in crate::graphql) use self::{
    import::ImportLibraryInput,
    label::{CreateLabelInput, DeleteLabelInput, RenameLabelInput},
};
use super::{
    label_id,
    progress::ProgressStatus,
    progress_id,
    story::{StorySource, StoryStatus},
    story_id,
};
use crate::{
    library::{
        self, Against, Device, Error, IdempotencyKey, Intent, LabelId, NewEntry, Once, ProgressId,
        ProgressPatch, ProgressState, Rating, StoryContent, StoryId, StoryPatch, StoryState,
        parse_url,
    },
    version::Version,
};

/// What every mutation takes beside what it is about.
#[derive(InputObject)]
pub(in crate::graphql) struct IntentInput {
    /// 1 to 64 visible characters of your making, such as a UUID, that name this mutation. Sent again under the same
    /// key, it is not made again but answered as before.
    idempotency_key: Option<String>,
    /// The device that you are on, told to your other devices with the change.
    device: Option<DeviceInput>,
}

/// A device of yours.
#[derive(InputObject)]
struct DeviceInput {
    /// 1 to 100 characters that tell it from your other devices.
    id: String,
    /// What you call it, 1 to 100 characters.
    name: Option<String>,
}

impl IntentInput {
    /// The intent of `mutation` with `input`.
    pub fn of(self, mutation: &str, input: &impl Serialize) -> Result<Intent, Error> {
        let device = self
            .device
            .map(|device| Device::new(device.id, device.name))
            .transpose()?;
        let key = self.idempotency_key.map(IdempotencyKey::new).transpose()?;
        let once = key.map(|key| Once::new(key, mutation, input)).transpose()?;
        Ok(Intent { device, once })
    }
}

/// What an update takes to notice that the row has moved on.
#[derive(InputObject)]
struct AgainstInput {
    /// The version that your copy of the row reflects. A field that was changed after it by somebody else, and that you
    /// set to another value, clashes.
    base: Option<i32>,
    /// What to do about clashes. REJECT when there is a base, OVERWRITE otherwise.
    on_conflict: Option<OnConflict>,
}

impl AgainstInput {
    fn against(self, rewind: bool) -> Result<Against, Error> {
        Against::new(
            self.base.map(Version::new),
            self.on_conflict.map(Into::into),
            rewind,
        )
    }
}

/// What to do about clashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::OnConflict")]
enum OnConflict {
    /// Change nothing, and list them.
    Reject,
    /// Change what does not clash; join sets of labels as additions and removals; keep the furthest chapter; and list
    /// what was left.
    Merge,
    /// Change it all.
    Overwrite,
}

/// A story to add, and how far you have read it.
#[derive(InputObject)]
pub(in crate::graphql) struct CreateStoryWithProgressInput {
    /// 1 to 500 characters.
    title: String,
    /// An http or https address of at most 2,048 bytes that is not in your library yet.
    url: String,
    /// At most 200 characters; "Unknown" when absent.
    author: Option<String>,
    /// Recognized by the url when absent.
    source: Option<StorySource>,
    /// ONGOING when absent.
    status: Option<StoryStatus>,
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
    progress_status: Option<ProgressStatus>,
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
                    source: self
                        .source
                        .map_or_else(|| library::Source::of(&parsed), Into::into),
                    status: self.status.map(Into::into).unwrap_or_default(),
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
                status: self.progress_status.map(Into::into).unwrap_or_default(),
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
    story_id: ID,
    /// 1 to 500 characters.
    title: MaybeUndefined<String>,
    /// At most 200 characters; null for "Unknown".
    author: MaybeUndefined<String>,
    /// An http or https address of at most 2,048 bytes that is not in your library yet.
    url: MaybeUndefined<String>,
    /// Where it is published.
    source: MaybeUndefined<StorySource>,
    /// Whether its author still writes it.
    status: MaybeUndefined<StoryStatus>,
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
            status: set("status", self.status)?.map(Into::into),
            description: clear(self.description),
            summary: clear(self.summary),
            chapter_count: clear(self.chapter_count),
            word_count: clear(self.word_count),
            is_nsfw: set("isNsfw", self.is_nsfw)?,
            tag_ids: label_set("tagIds", self.tag_ids)?,
            fandom_ids: label_set("fandomIds", self.fandom_ids)?,
        };
        let id = story_id("storyId", &self.story_id)?;
        let against = self.against.against(false)?;
        let intent = self
            .intent
            .of("updateStoryWithRelations", &(id, &patch, against))?;
        Ok((id, patch, against, intent))
    }
}

/// A change of how far you have read. A field that is absent is left alone.
#[derive(InputObject)]
pub(in crate::graphql) struct UpdateProgressInput {
    /// The progress to change.
    id: ID,
    /// Where you stand.
    status: MaybeUndefined<ProgressStatus>,
    /// Not negative.
    current_chapter: MaybeUndefined<i32>,
    /// From 0.0 to 5.0 in steps of 0.1; null clears.
    rating: MaybeUndefined<f64>,
    /// At most 10,000 characters; null clears.
    notes: MaybeUndefined<String>,
    /// Whether a chapter behind the furthest is meant when clashes are merged; false when absent.
    rewind: Option<bool>,
    #[graphql(flatten)]
    against: AgainstInput,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl UpdateProgressInput {
    pub fn into_change(self) -> Result<(ProgressId, ProgressPatch, Against, Intent), Error> {
        let patch = ProgressPatch {
            status: set("status", self.status)?.map(Into::into),
            current_chapter: set("currentChapter", self.current_chapter)?,
            rating: match clear(self.rating) {
                Some(Some(stars)) => Some(Some(Rating::from_stars(stars)?)),
                Some(None) => Some(None),
                None => None,
            },
            notes: clear(self.notes),
        };
        let id = progress_id("id", &self.id)?;
        let against = self.against.against(self.rewind.unwrap_or_default())?;
        let intent = self.intent.of("updateProgress", &(id, &patch, against))?;
        Ok((id, patch, against, intent))
    }
}

/// An entry to remove.
#[derive(InputObject)]
pub(in crate::graphql) struct DeleteProgressInput {
    /// Its progress.
    id: ID,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl DeleteProgressInput {
    pub fn into_id(self) -> Result<(ProgressId, Intent), Error> {
        let id = progress_id("id", &self.id)?;
        Ok((id, self.intent.of("deleteProgress", &id)?))
    }
}

/// A field that may be left alone or set, but not cleared.
fn set<T>(field: &'static str, value: MaybeUndefined<T>) -> Result<Option<T>, Error> {
    match value {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Err(Error::Invalid {
            field,
            message: "must not be null".to_owned(),
        }),
        MaybeUndefined::Value(value) => Ok(Some(value)),
    }
}

/// A field that may be left alone, set, or cleared.
#[expect(
    clippy::option_option,
    reason = "absent, cleared and set are three things in a patch"
)]
fn clear<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

fn label_ids(field: &'static str, ids: &[ID]) -> Result<BTreeSet<LabelId>, Error> {
    ids.iter().map(|id| label_id(field, id)).collect()
}

fn label_set(
    field: &'static str,
    ids: MaybeUndefined<Vec<ID>>,
) -> Result<Option<BTreeSet<LabelId>>, Error> {
    clear(ids)
        .map(|ids| label_ids(field, &ids.unwrap_or_default()))
        .transpose()
}
