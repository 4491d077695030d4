//! Rows as they were at an earlier version.

use time::OffsetDateTime;

use crate::library::model::{
    id::{LabelId, ProgressId, StoryId},
    label::LabelName,
    progress::ProgressState,
    story::StoryState,
};

/// A progress as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct PastProgress {
    /// Its id.
    pub id: ProgressId,
    /// The story that it is about.
    pub story_id: StoryId,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Its fields.
    pub state: ProgressState,
}

/// A story as it was, with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct PastStory {
    /// Its id.
    pub id: StoryId,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Its fields.
    pub state: StoryState,
}

/// A label as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLabel {
    /// Its id.
    pub id: LabelId,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Its name.
    pub name: LabelName,
}

/// A progress and its story as they were.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEntry {
    /// The progress.
    pub progress: PastProgress,
    /// Its story.
    pub story: PastStory,
}
