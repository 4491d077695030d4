//! The order of a list, and its cursors.
//!
//! | order | sort key | null sorts as |
//! |---|---|---|
//! | stamp | the progress's stamp | |
//! | title, author | the bytes of the folded text | |
//! | reading status | not started, reading, paused, completed, dropped | |
//! | rating, word count, chapter count | the number | lowest |
//! | current chapter | the number | |
//! | updated at, created at | the progress's times | |
//!
//! Ties are sorted by the id of the row that contains the sort key (story or progress), in the same direction.

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

/// The sort key of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the table above describes each")]
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

/// The sort direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressOrder {
    /// Sort key.
    pub field: OrderField,
    /// Sort direction.
    pub direction: Direction,
}

impl Default for ProgressOrder {
    /// Most recent change first.
    fn default() -> Self {
        Self {
            field: OrderField::Stamp,
            direction: Direction::Desc,
        }
    }
}

/// A keyset cursor in the list of progresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressCursor {
    order: ProgressOrder,
    value: Value,
    id: Uuid,
}

/// The sort key's value at a cursor.
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

    /// The sort expression and the tie-breaker. If `is_indexed`, an index contains exactly them. Otherwise the database must
    /// find the rows in another way, and sort them.
    pub(super) fn keys(self, is_indexed: bool) -> [Expr; 2] {
        let keys = [self.value(), self.id()];
        if is_indexed {
            return keys;
        }
        // SQLite's documentation, "The SQLite Query Optimizer Overview", section 2.
        keys.map(|key| Expr::cust_with_expr("+?", key))
    }

    /// The sort expression. The indexes are on exactly these expressions.
    fn value(self) -> Expr {
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

    /// The tie-breaker: the id in the row of the sort key, so that one index contains both.
    fn id(self) -> Expr {
        if self.is_of_story() {
            story::Column::Id.into_simple_expr()
        } else {
            progress::Column::Id.into_simple_expr()
        }
    }
}

/// The ordinal of a reading status. A status that a newer version has stored is last.
fn reading_order() -> Expr {
    let last = i32::try_from(ProgressStatus::iter().len()).unwrap_or(i32::MAX);
    let ordinal = |cases: CaseStatement, (ordinal, status): (i32, ProgressStatus)| {
        cases.case(progress::Column::Status.eq(<&str>::from(status)), ordinal)
    };
    (0..)
        .zip(ProgressStatus::iter())
        .fold(CaseStatement::new(), ordinal)
        .finally(last)
        .into()
}

impl ProgressOrder {
    /// The condition on rows after a cursor, given the order's keys.
    pub(super) fn after(self, cursor: ProgressCursor, keys: [Expr; 2]) -> Result<Condition, Error> {
        if cursor.order != self {
            return Err(Error::invalid("after", "is a cursor of another order"));
        }
        let value = match cursor.value {
            Value::Number(number) if !self.field.is_text() => Expr::val(number),
            Value::Text(text) if self.field.is_text() && !text.contains('\0') => Expr::val(text),
            _ => return Err(Error::invalid("after", "is not a cursor of this list")),
        };
        let here = Expr::tuple(keys);
        let there = Expr::tuple([value, Expr::val(cursor.id)]);
        Ok(Condition::all().add(match self.direction {
            Direction::Asc => here.gt(there),
            Direction::Desc => here.lt(there),
        }))
    }

    /// Reads an entry and its cursor. With its story, the columns have sea-orm's prefixes.
    pub(super) fn read(self, row: &QueryResult, with_story: bool) -> Result<Listed, Error> {
        let value = if self.field.is_text() {
            Value::Text(row.try_get("", "place_value")?)
        } else {
            Value::Number(row.try_get("", "place_value")?)
        };
        let cursor = ProgressCursor {
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
            cursor,
            progress: progress::Model::from_query_result(row, of_progress)?.try_into()?,
            story: story.transpose()?,
        })
    }
}

/// An entry of a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its cursor.
    pub cursor: ProgressCursor,
    /// The progress.
    pub progress: Progress,
    /// Its story, if requested.
    pub story: Option<Story>,
}

impl Listed {
    /// Returns the bytes of its texts.
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
