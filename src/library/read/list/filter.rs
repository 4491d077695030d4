//! Which progresses a list holds.

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

/// Which progresses. Each part that is set must hold; a list or set that is empty is not set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProgressFilter {
    /// It is one of these.
    pub status: Vec<ProgressStatus>,
    /// Its story's is one of these.
    pub story_status: Vec<StoryStatus>,
    /// Its story's is one of these.
    pub source: Vec<Source>,
    /// Whether its story is not safe for work.
    pub is_nsfw: Option<bool>,
    /// It is rated at least so.
    pub min_rating: Option<Rating>,
    /// It is rated at most so.
    pub max_rating: Option<Rating>,
    /// Whether it has notes.
    pub has_notes: Option<bool>,
    /// The tags of its story.
    pub tags: LabelFilter,
    /// The fandoms of its story.
    pub fandoms: LabelFilter,
    /// What occurs in the story's title, author or description, or in the notes.
    pub search: Search,
}

/// Which labels of one kind a story must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelFilter {
    /// At least one of these.
    pub any: BTreeSet<LabelId>,
    /// Each of these.
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
    /// The most of either.
    pub const MAX: usize = 100;

    /// Statements for the ids of the stories that pass; each must hold a story that passes.
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
