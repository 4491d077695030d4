//! Filters of the list of progresses.

use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait as _, Condition, DbBackend, ExprTrait as _, IntoSimpleExpr as _,
    sea_query::{Expr, Query, SelectStatement},
};

use crate::{
    library::{
        database::any_of::one_of,
        entity::{
            label::{Column, names},
            progress, story,
        },
        model::{
            id::LabelId,
            label::LabelKind,
            progress::{ProgressStatus, Rating},
            source::Source,
            story::StoryStatus,
        },
        read::search::Search,
    },
    version::UserId,
};

/// A filter of progresses. All set conditions must hold; an empty list or set is not set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressFilter {
    /// Reading status is one of these.
    pub status: Vec<ProgressStatus>,
    /// The story's publication status is one of these.
    pub story_status: Vec<StoryStatus>,
    /// The story's source is one of these.
    pub source: Vec<Source>,
    /// Whether the story is not safe for work.
    pub is_nsfw: Option<bool>,
    /// Minimum rating.
    pub min_rating: Option<Rating>,
    /// Maximum rating.
    pub max_rating: Option<Rating>,
    /// Whether it has notes.
    pub has_notes: Option<bool>,
    /// The story's tags.
    pub tags: LabelFilter,
    /// The story's fandoms.
    pub fandoms: LabelFilter,
    /// Terms in the story's title, author or description, or in the notes.
    pub search: Search,
}

/// A filter of stories by labels of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelFilter {
    /// At least one of these.
    pub any: BTreeSet<LabelId>,
    /// All of these.
    pub all: BTreeSet<LabelId>,
}

impl ProgressFilter {
    pub(super) fn is_of_story(&self) -> bool {
        !self.story_status.is_empty()
            || !self.source.is_empty()
            || self.is_nsfw.is_some()
            || !self.search.is_empty()
    }

    pub(super) fn condition(&self, backend: DbBackend, user: &UserId) -> Condition {
        use progress::Column::{Rating, SearchKey, Status, StoryId};
        let tenths = |rating: crate::library::model::progress::Rating| rating.tenths();
        let notes = |has| {
            if has {
                SearchKey.ne("")
            } else {
                SearchKey.eq("")
            }
        };
        let texts = [
            story::Column::SearchKey.into_simple_expr(),
            SearchKey.into_simple_expr(),
        ];
        let labelled = [
            (LabelKind::Tag, &self.tags),
            (LabelKind::Fandom, &self.fandoms),
        ]
        .into_iter()
        .flat_map(|(kind, labels)| labels.stories(backend, user, kind))
        .fold(Condition::all(), |all, stories| {
            all.add(StoryId.in_subquery(stories))
        });
        Condition::all()
            .add_option(named(Status, &self.status))
            .add_option(named(story::Column::Status, &self.story_status))
            .add_option(named(story::Column::Source, &self.source))
            .add_option(self.is_nsfw.map(|is| story::Column::IsNsfw.eq(is)))
            .add_option(self.min_rating.map(|least| Rating.gte(tenths(least))))
            .add_option(self.max_rating.map(|most| Rating.lte(tenths(most))))
            .add_option(self.has_notes.map(notes))
            .add(labelled)
            .add(self.search.in_any(&texts))
    }
}

fn named<N: Copy + Into<&'static str>>(
    column: impl sea_orm::ColumnTrait,
    names: &[N],
) -> Option<Expr> {
    let stored = names.iter().map(|name| -> &str { (*name).into() });
    (!names.is_empty()).then(|| column.is_in(stored))
}

impl LabelFilter {
    /// Maximum size of each set.
    pub const MAX: usize = 100;

    /// Subqueries of story ids; a story must be in each of them.
    fn stories(&self, backend: DbBackend, user: &UserId, kind: LabelKind) -> Vec<SelectStatement> {
        let names = names(kind);
        let with = |ids: &BTreeSet<LabelId>| {
            Query::select()
                .column(Column::StoryId)
                .from(names.link_table.clone())
                .and_where(Expr::col(Column::UserId).eq(user.as_str()))
                .and_where(one_of(
                    backend,
                    Expr::col(names.link_column.clone()),
                    ids.iter().map(|id| id.0),
                ))
                .to_owned()
        };
        let mut stories = Vec::new();
        if !self.any.is_empty() {
            stories.push(with(&self.any));
        }
        if !self.all.is_empty() {
            let count = i64::try_from(self.all.len()).unwrap_or(i64::MAX);
            stories.push(
                with(&self.all)
                    .group_by_col(Column::StoryId)
                    .and_having(Expr::cust("count(*)").eq(count))
                    .to_owned(),
            );
        }
        stories
    }
}
