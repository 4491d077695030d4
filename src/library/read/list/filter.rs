//! Filters of the list of progresses.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, IntoSimpleExpr as _, sea_query::Expr,
};

use super::label_filter::{LabelFilter, LabelSizes};
use crate::{
    library::{
        entity::{progress, story},
        error::Error,
        model::{
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

impl ProgressFilter {
    pub(super) fn is_of_story(&self) -> bool {
        !self.story_status.is_empty()
            || !self.source.is_empty()
            || self.is_nsfw.is_some()
            || !self.search.is_empty()
    }

    /// Counts the stories of the filter's labels.
    pub(super) async fn label_sizes(
        &self,
        db: &impl ConnectionTrait,
        user: &UserId,
    ) -> Result<LabelSizes, Error> {
        let mut sizes = LabelSizes::default();
        for (kind, labels) in self.labels() {
            sizes.count(db, user, kind, labels).await?;
        }
        Ok(sizes)
    }

    /// Whether an index on the order would read entries that the filter then excludes. PostgreSQL estimates that itself.
    pub(super) fn is_narrow(&self, backend: DbBackend, sizes: &LabelSizes) -> bool {
        let mut labels = self.labels().into_iter();
        backend == DbBackend::Sqlite && labels.any(|(_, labels)| sizes.are_few(labels))
    }

    fn labels(&self) -> [(LabelKind, &LabelFilter); 2] {
        [
            (LabelKind::Tag, &self.tags),
            (LabelKind::Fandom, &self.fandoms),
        ]
    }

    pub(super) fn condition(
        &self,
        backend: DbBackend,
        user: &UserId,
        sizes: Option<&LabelSizes>,
    ) -> Condition {
        use progress::Column::{Rating, SearchKey, Status};
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
        let labelled = self.labels().into_iter();
        let labelled = labelled
            .flat_map(|(kind, labels)| labels.conditions(backend, user, kind, sizes))
            .fold(Condition::all(), Condition::add);
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
