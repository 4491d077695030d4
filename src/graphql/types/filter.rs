//! Filters and sort orders of lists.

use std::collections::BTreeSet;

use async_graphql::{Enum, ID, InputObject};

use super::{
    id::label_id,
    progress::ReadingStatus,
    story::{PublicationStatus, StorySource},
};
use crate::library::{self, Error, LabelId, Rating, Search};

/// Conditions on entries, all of which must hold. Null and an empty list set no condition.
#[derive(InputObject, Default)]
pub(in crate::graphql) struct ProgressFilter {
    /// Reading statuses, one of which the entry has. Null means any.
    reading_statuses: Option<Vec<ReadingStatus>>,
    /// Publication statuses, one of which the story has. Null means any.
    publication_statuses: Option<Vec<PublicationStatus>>,
    /// Sites, one of which the story is published on. Null means any.
    sources: Option<Vec<StorySource>>,
    /// Whether the story is not safe for work. Null means either.
    is_nsfw: Option<bool>,
    /// Range of the rating. Entries without a rating are in no range. Null means any rating or none.
    rating: Option<RatingRange>,
    /// Whether the entry has notes. Null means either.
    has_notes: Option<bool>,
    /// Condition on the tags of the story. Null means any.
    tags: Option<LabelFilter>,
    /// Condition on the fandoms of the story. Null means any.
    fandoms: Option<LabelFilter>,
    /// At most 10 words in at most 200 characters. Each must occur in the title, author or description of the story or
    /// in the notes, also within a word, ignoring case. Null means any.
    search: Option<String>,
}

/// A range of ratings, which includes both ends.
#[derive(InputObject)]
struct RatingRange {
    /// Lowest rating, from 0.0 to 5.0. Null means 0.0.
    min: Option<f64>,
    /// Highest rating, from 0.0 to 5.0. Null means 5.0.
    max: Option<f64>,
}

/// Condition on the labels of one kind that a story has.
#[derive(InputObject)]
struct LabelFilter {
    /// Ids of labels, at most 100, at least one of which the story has. Null means any.
    any: Option<Vec<ID>>,
    /// Ids of labels, at most 100, all of which the story has. Null means any.
    all: Option<Vec<ID>>,
}

impl ProgressFilter {
    pub fn parse(self) -> Result<library::ProgressFilter, Error> {
        let [min_rating, max_rating] = match self.rating {
            // A range without bounds still requires a rating.
            Some(RatingRange { min, max }) => [min.or(Some(0.0)), max],
            None => [None, None],
        };
        let search = self.search.unwrap_or_default();
        Ok(library::ProgressFilter {
            status: all_into(self.reading_statuses),
            story_status: all_into(self.publication_statuses),
            source: all_into(self.sources),
            is_nsfw: self.is_nsfw,
            min_rating: min_rating.map(Rating::from_stars).transpose()?,
            max_rating: max_rating.map(Rating::from_stars).transpose()?,
            has_notes: self.has_notes,
            tags: labels("tags", self.tags)?,
            fandoms: labels("fandoms", self.fandoms)?,
            search: Search::words(&search)?,
        })
    }
}

fn all_into<G: Into<L>, L>(values: Option<Vec<G>>) -> Vec<L> {
    values
        .unwrap_or_default()
        .into_iter()
        .map(Into::into)
        .collect()
}

fn labels(field: &'static str, filter: Option<LabelFilter>) -> Result<library::LabelFilter, Error> {
    let ids = |ids: Option<Vec<ID>>| -> Result<BTreeSet<LabelId>, Error> {
        let ids = ids.unwrap_or_default();
        let most = library::LabelFilter::MAX;
        if ids.len() > most {
            let message = format!("at most {most} of them");
            return Err(Error::Invalid { field, message });
        }
        ids.iter().map(|id| label_id(field, id)).collect()
    };
    let Some(LabelFilter { any, all }) = filter else {
        return Ok(library::LabelFilter::default());
    };
    Ok(library::LabelFilter {
        any: ids(any)?,
        all: ids(all)?,
    })
}

/// Order of entries. Entries that are equal in the field are ordered by id, in the same direction.
#[derive(InputObject)]
pub(in crate::graphql) struct ProgressOrder {
    /// Field to order by.
    field: ProgressOrderField,
    /// Direction of the order.
    direction: OrderDirection,
}

impl From<ProgressOrder> for library::ProgressOrder {
    fn from(order: ProgressOrder) -> Self {
        Self {
            field: order.field.into(),
            direction: order.direction.into(),
        }
    }
}

/// Field that entries are ordered by. Texts are compared by code point, ignoring case. Null is less than any value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::OrderField")]
enum ProgressOrderField {
    /// `Progress.stamp`, the version at which the progress last changed.
    Stamp,
    /// `Story.title`.
    Title,
    /// `Story.author`.
    Author,
    /// `Progress.readingStatus`, in the order NOT_STARTED, READING, PAUSED, COMPLETED, DROPPED, PLAN_TO_READ,
    /// DROPPED_AS_ABANDONED.
    ReadingStatus,
    /// `Progress.rating`.
    Rating,
    /// `Progress.currentChapter`.
    CurrentChapter,
    /// `Progress.updatedAt`.
    UpdatedAt,
    /// `Progress.createdAt`.
    CreatedAt,
    /// `Story.wordCount`.
    WordCount,
    /// `Story.chapterCount`.
    ChapterCount,
}

/// Direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Direction")]
enum OrderDirection {
    /// Smallest value first.
    Asc,
    /// Greatest value first.
    Desc,
}
