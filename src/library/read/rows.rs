//! Reads of rows. Every statement is restricted to the user, so it does not touch another user's rows.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, EntityTrait as _, ExprTrait as _,
    FromQueryResult as _, Order, QueryFilter as _, QueryTrait as _, Select,
    sea_query::{Alias, Expr, Query},
};

use super::search::Search;
use crate::{
    library::{
        database::any_of::one_of,
        entity::{
            label::{
                Column, Row, labels_in, names, select_by_name, select_story_counts, story_counts_in,
            },
            progress, story,
        },
        error::Error,
        handle::Library,
        model::{
            id::{LabelId, ProgressId, StoryId},
            label::{Label, LabelKind},
            progress::Progress,
            story::Story,
        },
    },
    version::UserId,
};

impl Library {
    /// Finds one progress of this user.
    pub async fn find_progress(
        &self,
        user: &UserId,
        id: ProgressId,
    ) -> Result<Option<Progress>, Error> {
        let reader = self.db.reader(user).await?;
        let row = progress::Entity::find_by_id((user.as_str().to_owned(), id.0)).one(&reader);
        let row = self.db.in_time(row).await?;
        Ok(row.map(Progress::try_from).transpose()?)
    }

    /// Returns the stories of this user with these `ids`, in one statement.
    pub async fn stories(
        &self,
        user: &UserId,
        ids: impl IntoIterator<Item = StoryId> + Send,
    ) -> Result<HashMap<StoryId, Story>, Error> {
        let reader = self.db.reader(user).await?;
        self.db.in_time(stories(&reader, user, ids, None)).await
    }

    /// Returns the progresses of these stories, in one statement.
    pub async fn progresses_of(
        &self,
        user: &UserId,
        stories: impl IntoIterator<Item = StoryId> + Send,
    ) -> Result<HashMap<StoryId, Progress>, Error> {
        let reader = self.db.reader(user).await?;
        let rows = progress::find()
            .filter(progress::Column::UserId.eq(user.as_str()))
            .filter(one_of(
                self.db.backend(),
                progress::Column::StoryId,
                stories.into_iter().map(|id| id.0),
            ))
            .all(&reader);
        let rows = self.db.in_time(rows).await?;
        rows.into_iter()
            .map(|row| {
                let progress = Progress::try_from(row)?;
                Ok((progress.story_id, progress))
            })
            .collect()
    }

    /// Returns the user's labels of one kind that match the search, by name.
    pub async fn labels(
        &self,
        user: &UserId,
        kind: LabelKind,
        search: &Search,
    ) -> Result<Vec<Label>, Error> {
        let mut select = select_by_name(user, kind);
        select.cond_where(search.in_any(&[Expr::col(Column::NameKey)]));
        let rows = self.db.reader(user).await?.query_all(&select).await?;
        Ok(labels_in(&rows)?)
    }

    /// Counts the stories that have each of these labels, in one statement. Unknown labels are absent.
    pub async fn story_counts(
        &self,
        user: &UserId,
        kind: LabelKind,
        labels: &[LabelId],
    ) -> Result<HashMap<LabelId, i64>, Error> {
        /// For more labels than this, the statement counts all of them.
        const NAMED: usize = 1_000;
        let mut select = select_story_counts(user, kind, None);
        if labels.len() <= NAMED {
            let labels = labels.iter().map(|label| label.0);
            select.and_where(one_of(self.db.backend(), Expr::col(Column::Id), labels));
        }
        let reader = self.db.reader(user).await?;
        let rows = self.db.in_time(reader.query_all(&select)).await?;
        Ok(story_counts_in(&rows)?)
    }

    /// Returns the user's most used labels of one kind, by descending number of stories.
    pub async fn top_labels(
        &self,
        user: &UserId,
        kind: LabelKind,
        first: u32,
    ) -> Result<Vec<Label>, Error> {
        let names = names(kind);
        let (label, counted) = (names.table, Alias::new("counted"));
        // Counted before the join, so that the links' index covers the count.
        let counts = Query::select()
            .column(names.link_column.clone())
            .expr_as(Expr::cust("count(*)"), "stories")
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(user.as_str()))
            .group_by_col(names.link_column.clone())
            .to_owned();
        let joined =
            Expr::col((counted.clone(), names.link_column)).equals((label.clone(), Column::Id));
        let select = Query::select()
            .columns(Column::ROW.map(|column| (label.clone(), column)))
            .from_subquery(counts, counted.clone())
            .inner_join(label.clone(), joined)
            .and_where(Expr::col((label.clone(), Column::UserId)).eq(user.as_str()))
            .order_by((counted, Alias::new("stories")), Order::Desc)
            .order_by((label, Column::NameKey), Order::Asc)
            .limit(u64::from(first))
            .to_owned();
        let rows = self.db.reader(user).await?.query_all(&select).await?;
        Ok(labels_in(&rows)?)
    }

    /// Returns the labels of one kind on each of these stories, by name, in one statement.
    pub async fn labels_of(
        &self,
        user: &UserId,
        kind: LabelKind,
        stories: &BTreeSet<StoryId>,
    ) -> Result<HashMap<StoryId, Vec<Label>>, Error> {
        let reader = self.db.reader(user).await?;
        let labels = labels_of(&reader, user, kind, Some(stories));
        self.db.in_time(labels).await
    }
}

/// Returns the stories of this user with these `ids`, in one statement, or none if the `condition` is false.
pub(in crate::library) async fn stories(
    db: &impl ConnectionTrait,
    user: &UserId,
    ids: impl IntoIterator<Item = StoryId> + Send,
    condition: Option<Expr>,
) -> Result<HashMap<StoryId, Story>, Error> {
    let rows = story::find()
        .filter(story::Column::UserId.eq(user.as_str()))
        .filter(one_of(
            db.get_database_backend(),
            story::Column::Id,
            ids.into_iter().map(|id| id.0),
        ))
        .apply_if(condition, Select::filter)
        .all(db)
        .await?;
    rows.into_iter()
        .map(|row| {
            let story = Story::try_from(row)?;
            Ok((story.id, story))
        })
        .collect()
}

/// Returns the labels of one kind on each of these stories, or on all, by name, in one statement.
pub(in crate::library) async fn labels_of(
    db: &impl ConnectionTrait,
    user: &UserId,
    kind: LabelKind,
    stories: Option<&BTreeSet<StoryId>>,
) -> Result<HashMap<StoryId, Vec<Label>>, Error> {
    let (names, backend) = (names(kind), db.get_database_backend());
    let mut links = Query::select();
    links
        .column(Column::StoryId)
        .expr_as(Expr::col(names.link_column), "label_id")
        .from(names.link_table)
        .and_where(Expr::col(Column::UserId).eq(user.as_str()));
    if let Some(stories) = stories {
        let ids = stories.iter().map(|story| story.0);
        links.and_where(one_of(backend, Expr::col(Column::StoryId), ids));
        if backend == DbBackend::Postgres {
            // Without statistics PostgreSQL would make it a join, and read all links of each label.
            links.offset(0);
        }
    }
    let label = names.table;
    let is_linked = Expr::col((label.clone(), Column::Id)).equals(("link", "label_id"));
    let select = Query::select()
        .columns(Column::ROW.map(|column| (label.clone(), column)))
        .column(("link", Column::StoryId))
        .from_subquery(links, "link")
        .inner_join(label.clone(), is_linked)
        .and_where(Expr::col((label.clone(), Column::UserId)).eq(user.as_str()))
        .order_by((label, Column::NameKey), Order::Asc)
        .to_owned();
    let mut labels = HashMap::<StoryId, Vec<Label>>::new();
    for row in db.query_all(&select).await? {
        let story = StoryId(row.try_get("", "story_id")?);
        labels
            .entry(story)
            .or_default()
            .push(Row::from_query_result(&row, "")?.into());
    }
    Ok(labels)
}
