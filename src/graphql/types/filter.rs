//! What lists are asked for: which elements, and in which order.

use std::collections::BTreeSet;

use async_graphql::{Enum, ID, InputObject};

use super::{
    id::label_id,
    progress::ReadingStatus,
    story::{PublicationStatus, StorySource},
};
use crate::library::{self, Error, LabelId, Rating, Search};

/// Which entries. Every field that is set must hold; an empty list is as good as none.
#[derive(InputObject, Default)]
pub(in crate::graphql) struct ProgressFilter {
    /// Where you stand is one of these.
    reading_statuses: Option<Vec<ReadingStatus>>,
    /// The story's status is one of these.
    publication_statuses: Option<Vec<PublicationStatus>>,
    /// The story is published at one of these.
    sources: Option<Vec<StorySource>>,
    /// Whether the story is not safe for work.
    is_nsfw: Option<bool>,
    /// Your rating. What you have not rated is in no range.
    rating: Option<RatingRange>,
    /// Whether you made notes.
    has_notes: Option<bool>,
    /// The story's tags.
    tags: Option<LabelFilter>,
    /// The story's fandoms.
    fandoms: Option<LabelFilter>,
    /// Up to 10 words, in at most 200 characters, each of which occurs in the story's title, author or description or
    /// in your notes, also inside other words and in whatever case.
    search: Option<String>,
}

/// A range of ratings, both ends included.
#[derive(InputObject)]
struct RatingRange {
    /// The lowest; none is 0.0.
    min: Option<f64>,
    /// The highest; none is 5.0.
    max: Option<f64>,
}

/// Which tags, or which fandoms, at most 100 of each.
#[derive(InputObject)]
struct LabelFilter {
    /// At least one of these.
    any: Option<Vec<ID>>,
    /// Each of these.
    all: Option<Vec<ID>>,
}

impl ProgressFilter {
    pub fn parse(self) -> Result<library::ProgressFilter, Error> {
        let [min_rating, max_rating] = match self.rating {
            // A range without ends still asks for a rating.
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

/// The order of entries.
#[derive(InputObject)]
pub(in crate::graphql) struct ProgressOrder {
    /// By what.
    field: ProgressOrderField,
    /// Which way round.
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

/// What entries are ordered by. Texts are compared in lower case, by code points. What is not set is less than any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::OrderField")]
enum ProgressOrderField {
    /// The version at which the progress last changed.
    Stamp,
    /// The story's title.
    Title,
    /// The story's author.
    Author,
    /// Where you stand, in the order in which one reads: not started, reading, paused, completed, dropped.
    ReadingStatus,
    /// Your rating.
    Rating,
    /// The last chapter you read.
    CurrentChapter,
    /// When the progress last changed.
    UpdatedAt,
    /// When the entry was added.
    CreatedAt,
    /// How many words are out.
    WordCount,
    /// How many chapters are out.
    ChapterCount,
}

/// Which way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::Direction")]
enum OrderDirection {
    /// The least first.
    Asc,
    /// The greatest first.
    Desc,
}
