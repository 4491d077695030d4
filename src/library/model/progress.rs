//! Progress: how far the user has read a story, with rating and notes.

use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use time::OffsetDateTime;

use super::{
    id::{ProgressId, StoryId},
    text,
};
use crate::{library::error::Error, version::Version};

/// Reading status.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    EnumIter,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProgressStatus {
    /// Not yet begun.
    #[default]
    NotStarted,
    /// In progress.
    Reading,
    /// Interrupted.
    Paused,
    /// Read to the last chapter.
    Completed,
    /// Abandoned.
    Dropped,
    /// On the reading list.
    PlanToRead,
    /// Abandoned because the author has abandoned the story.
    DroppedAsAbandoned,
}

/// A rating from 0.0 to 5.0, in tenths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rating(i16);

impl Rating {
    /// Maximum rating, in tenths.
    pub const MAX_TENTHS: i16 = 50;

    /// Converts a number of stars.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is a multiple of 0.1 from 0.0 to 5.0.
    pub fn from_stars(stars: f64) -> Result<Self, Error> {
        let tenths = stars * 10.0;
        // Decimal tenths are inexact in binary, so a tolerance applies.
        if !(0.0..=f64::from(Self::MAX_TENTHS)).contains(&tenths)
            || (tenths - tenths.round()).abs() > 1e-6
        {
            return Err(Error::invalid(
                "rating",
                "must be from 0.0 to 5.0 in steps of 0.1",
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "0 to 50, by the check above"
        )]
        Ok(Self(tenths.round() as i16))
    }

    /// Wraps a stored number of tenths.
    pub(in crate::library) const fn from_tenths(tenths: i16) -> Self {
        Self(tenths)
    }

    /// The rating in tenths of a star.
    pub const fn tenths(self) -> i16 {
        self.0
    }

    /// The rating in stars.
    pub fn stars(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

impl Serialize for Rating {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.stars())
    }
}

impl<'de> Deserialize<'de> for Rating {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_stars(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The row of a progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Its id.
    pub id: ProgressId,
    /// The story that it belongs to.
    pub story_id: StoryId,
    /// The version at which it last changed.
    pub stamp: Version,
    /// The version that created it; 0 when unknown.
    #[serde(default)]
    pub created_stamp: Version,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Time of the last change.
    pub updated_at: OffsetDateTime,
    /// The fields that a user may change.
    pub state: ProgressState,
}

/// The fields of a progress that a user may change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressState {
    /// Reading status.
    pub status: ProgressStatus,
    /// The last chapter read; 0 for none.
    pub current_chapter: i32,
    /// The user's rating.
    pub rating: Option<Rating>,
    /// The user's notes, up to [`ProgressState::MAX_NOTES`] characters.
    pub notes: Option<String>,
}

impl ProgressState {
    /// Maximum length of notes, in characters.
    pub const MAX_NOTES: usize = 10_000;

    /// Checks every rule that does not depend on the database.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first invalid field.
    pub fn tidy(self) -> Result<Self, Error> {
        self.tidy_since(None)
    }

    /// Checks the fields that differ from those of a stored state, which may break a rule that is newer than it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first invalid field.
    pub fn tidy_changes(self, stored: &Self) -> Result<Self, Error> {
        self.tidy_since(Some(stored))
    }

    fn tidy_since(self, stored: Option<&Self>) -> Result<Self, Error> {
        if stored.is_none_or(|stored| stored.current_chapter != self.current_chapter) {
            text::count("currentChapter", Some(self.current_chapter))?;
        }
        if stored.is_none_or(|stored| stored.notes != self.notes) {
            text::prose("notes", self.notes.as_deref(), Self::MAX_NOTES)?;
        }
        Ok(self)
    }
}

/// A partial change of a [`ProgressState`]: an absent field stays, `Some(None)` clears.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of ProgressState")]
pub struct ProgressPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ProgressStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_chapter: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rating: Option<Option<Rating>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<Option<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_is_a_multiple_of_a_tenth_from_0_to_5() {
        for tenths in 0..=50 {
            let rating = Rating::from_stars(f64::from(tenths) / 10.0).unwrap();
            assert_eq!(rating.tenths(), tenths);
        }
        for stars in [-0.1, 5.1, 4.55, f64::NAN, f64::INFINITY] {
            assert!(Rating::from_stars(stars).is_err(), "{stars}");
        }
    }
}
