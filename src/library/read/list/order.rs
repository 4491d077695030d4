//! The order of a list, and places in it.
//!
//! | order | by | unset counts as |
//! |---|---|---|
//! | stamp | the progress's stamp | |
//! | title, author | the bytes of the folded text | |
//! | reading status | the way of a reader: not started, reading, paused, completed, dropped | |
//! | rating, word count, chapter count | the number | less than any |
//! | current chapter | the number | |
//! | updated at, created at | the progress's times | |
//!
//! Equals are ordered by the id of the row that the value is in (the story's or the progress's), the same way round.

use sea_orm::{
    ColumnTrait as _, Condition, ExprTrait as _, FromQueryResult as _, IdenStatic as _,
    IntoSimpleExpr as _, Order, QueryResult, SelectA, SelectB,
    sea_query::{CaseStatement, Expr, Func},
};
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator as _;
use uuid::Uuid;

use crate::library::{
    entity::{progress, story},
    error::Error,
    model::{
        progress::{Progress, ProgressStatus},
        story::Story,
    },
};

/// What the list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table above says what each is")]
pub enum OrderField {
    Stamp,
    Title,
    Author,
    ReadingStatus,
    Rating,
    CurrentChapter,
    UpdatedAt,
    CreatedAt,
    WordCount,
    ChapterCount,
}

/// Which way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The least first.
    Asc,
    /// The greatest first.
    Desc,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressOrder {
    /// By what.
    pub field: OrderField,
    /// Which way round.
    pub direction: Direction,
}

impl Default for ProgressOrder {
    /// Newest change first.
    fn default() -> Self {
        Self {
            field: OrderField::Stamp,
            direction: Direction::Desc,
        }
    }
}

/// A place in the list of progresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressCursor {
    order: ProgressOrder,
    value: Value,
    id: Uuid,
}

/// What the list is ordered by, at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(i64),
    Text(String),
}

impl OrderField {
    pub(super) fn is_of_story(self) -> bool {
        matches!(
            self,
            Self::Title | Self::Author | Self::WordCount | Self::ChapterCount
        )
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Title | Self::Author)
    }

    /// What is ordered by. The indexes are on these very expressions.
    pub(super) fn value(self) -> Expr {
        use progress::Column as Progress;
        use story::Column as Story;
        let or_least = |number: Expr| Expr::from(Func::coalesce([number, Expr::cust("-1")]));
        match self {
            Self::Stamp => Progress::Stamp.into_simple_expr(),
            Self::Title => Story::TitleKey.into_simple_expr(),
            Self::Author => Story::AuthorKey.into_simple_expr(),
            Self::ReadingStatus => reading_order(),
            Self::Rating => or_least(Progress::Rating.into_simple_expr()),
            Self::CurrentChapter => Progress::CurrentChapter.into_simple_expr(),
            Self::UpdatedAt => Progress::UpdatedAt.into_simple_expr(),
            Self::CreatedAt => Progress::CreatedAt.into_simple_expr(),
            Self::WordCount => or_least(Story::WordCount.into_simple_expr()),
            Self::ChapterCount => or_least(Story::ChapterCount.into_simple_expr()),
        }
    }

    /// What orders equals: the id beside the value, so that one index has both.
    pub(super) fn id(self) -> Expr {
        if self.is_of_story() {
            story::Column::Id.into_simple_expr()
        } else {
            progress::Column::Id.into_simple_expr()
        }
    }
}

/// The place of a status on a reader's way.
fn reading_order() -> Expr {
    let place = |cases: CaseStatement, (place, status): (i32, ProgressStatus)| {
        cases.case(progress::Column::Status.eq(<&str>::from(status)), place)
    };
    (0..)
        .zip(ProgressStatus::iter())
        .fold(CaseStatement::new(), place)
        .into()
}

impl ProgressOrder {
    /// What comes after a place.
    pub(super) fn after(self, place: ProgressCursor) -> Result<Condition, Error> {
        if place.order != self {
            return Err(Error::invalid("after", "is a place in another order"));
        }
        let value = match place.value {
            Value::Number(number) if !self.field.is_text() => Expr::val(number),
            Value::Text(text) if self.field.is_text() && !text.contains('\0') => Expr::val(text),
            _ => return Err(Error::invalid("after", "is no cursor of this list")),
        };
        let here = Expr::tuple([self.field.value(), self.field.id()]);
        let there = Expr::tuple([value, Expr::val(place.id)]);
        Ok(Condition::all().add(match self.direction {
            Direction::Asc => here.gt(there),
            Direction::Desc => here.lt(there),
        }))
    }

    /// Reads an entry and its place. Columns of an entry with its story are named apart, as sea-orm does it.
    pub(super) fn read(self, row: &QueryResult, with_story: bool) -> Result<Listed, Error> {
        let value = if self.field.is_text() {
            Value::Text(row.try_get("", "place_value")?)
        } else {
            Value::Number(row.try_get("", "place_value")?)
        };
        let place = ProgressCursor {
            order: self,
            value,
            id: row.try_get("", "place_id")?,
        };
        let (of_progress, of_story) = if with_story {
            (SelectA.as_str(), Some(SelectB.as_str()))
        } else {
            ("", None)
        };
        let story = of_story.map(|prefix| story::Model::from_query_result(row, prefix)?.try_into());
        Ok(Listed {
            place,
            progress: progress::Model::from_query_result(row, of_progress)?.try_into()?,
            story: story.transpose()?,
        })
    }
}

/// An entry of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Where it is.
    pub place: ProgressCursor,
    /// The progress.
    pub progress: Progress,
    /// Its story, if stories were asked for.
    pub story: Option<Story>,
}

impl Listed {
    /// How many bytes the texts of its rows take.
    pub fn bytes(&self) -> u64 {
        let notes = self.progress.state.notes.as_deref();
        let story = self.story.as_ref().map(|story| &story.content);
        let texts = story.into_iter().flat_map(|story| {
            let (description, summary) = (story.description.as_deref(), story.summary.as_deref());
            [
                Some(&*story.title),
                Some(&*story.author),
                Some(&*story.url),
                description,
                summary,
            ]
        });
        let texts = texts.chain([notes]).flatten();
        texts.map(|text| text.len() as u64).sum()
    }
}

impl From<Direction> for Order {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Asc => Self::Asc,
            Direction::Desc => Self::Desc,
        }
    }
}
