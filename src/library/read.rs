//! Reading a library. Every statement names the user, so another user's rows are not even looked at.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _,
    FromQueryResult as _, Order, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, Query},
};

use super::{
    Label, LabelKind, Library, Progress, ProgressId, Story, StoryId,
    entity::{
        label::{Column, Row, names},
        progress, story, user,
    },
    error::Error,
    writer::insert_user,
};
use crate::version::{Head, UserId, Version};

/// A part of a list: the first so many after a place in it.
#[derive(Debug, Clone, Copy)]
pub struct Page<C> {
    /// How many, at the most.
    pub first: u32,
    /// After which place; from the start when there is none.
    pub after: Option<C>,
}

/// A place in the list of progresses, which is ordered by newest change first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressCursor {
    /// The stamp of the progress there.
    pub stamp: Version,
    /// Its id, which orders those of one stamp.
    pub id: ProgressId,
}

impl Library {
    /// The user's head; makes the user at their first request.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] when another app makes the users and has not made this one.
    pub async fn head(&self, user: &UserId) -> Result<Head, Error> {
        if let Some(head) = self.find_head(user).await? {
            return Ok(head);
        }
        insert_user(&self.db.write, user).await?;
        // Read where it was written: a replica may not have it yet.
        let row = user::Entity::find_by_id(user.as_str())
            .one(&self.db.write)
            .await?;
        row.map(|row| row.head())
            .ok_or_else(|| Error::fault("a user just inserted is not there"))
    }

    async fn find_head(&self, user: &UserId) -> Result<Option<Head>, Error> {
        let row = user::Entity::find_by_id(user.as_str())
            .one(&self.db.read)
            .await?;
        Ok(row.map(|row| row.head()))
    }

    /// The heads of those of `users` that exist, in one statement.
    pub async fn heads(&self, users: &[UserId]) -> Result<Vec<(UserId, Head)>, Error> {
        let by_subject: HashMap<&str, &UserId> =
            users.iter().map(|user| (user.as_str(), user)).collect();
        let rows = user::Entity::find()
            .filter(user::Column::Subject.is_in(by_subject.keys().copied()))
            .all(&self.db.read)
            .await?;
        let named = |row: user::Model| {
            by_subject
                .get(row.subject.as_str())
                .map(|&user| (user.clone(), row.head()))
        };
        Ok(rows.into_iter().filter_map(named).collect())
    }

    /// One progress of this user.
    pub async fn find_progress(
        &self,
        user: &UserId,
        id: ProgressId,
    ) -> Result<Option<Progress>, Error> {
        let row = progress::Entity::find_by_id((user.as_str().to_owned(), id.0))
            .one(&self.db.read)
            .await?;
        Ok(row.map(Progress::try_from).transpose()?)
    }

    /// The progresses of this user, newest change first.
    pub async fn progresses(
        &self,
        user: &UserId,
        page: Page<ProgressCursor>,
    ) -> Result<Vec<Progress>, Error> {
        use progress::Column::{Id, Stamp, UserId};
        let after = page.after.map(|place| {
            let (stamp, id) = (place.stamp.number(), place.id.0);
            Condition::any()
                .add(Stamp.lt(stamp))
                .add(Condition::all().add(Stamp.eq(stamp)).add(Id.lt(id)))
        });
        let rows = progress::Entity::find()
            .filter(UserId.eq(user.as_str()))
            .filter(after.unwrap_or_else(Condition::all))
            .order_by_desc(Stamp)
            .order_by_desc(Id)
            .limit(u64::from(page.first))
            .all(&self.db.read)
            .await?;
        Ok(rows
            .into_iter()
            .map(Progress::try_from)
            .collect::<Result<_, _>>()?)
    }

    /// How many progresses this user has.
    pub async fn count_progresses(&self, user: &UserId) -> Result<u64, Error> {
        let all = progress::Entity::find().filter(progress::Column::UserId.eq(user.as_str()));
        Ok(all.count(&self.db.read).await?)
    }

    /// Those of `ids` that are stories of this user, in one statement.
    pub async fn stories(
        &self,
        user: &UserId,
        ids: impl IntoIterator<Item = StoryId> + Send,
    ) -> Result<HashMap<StoryId, Story>, Error> {
        let rows = story::Entity::find()
            .filter(story::Column::UserId.eq(user.as_str()))
            .filter(story::Column::Id.is_in(ids.into_iter().map(|id| id.0)))
            .all(&self.db.read)
            .await?;
        rows.into_iter()
            .map(|row| {
                Story::try_from(row)
                    .map(|story| (story.id, story))
                    .map_err(Error::from)
            })
            .collect()
    }

    /// The progresses of those stories of this user, in one statement.
    pub async fn progresses_of(
        &self,
        user: &UserId,
        stories: impl IntoIterator<Item = StoryId> + Send,
    ) -> Result<HashMap<StoryId, Progress>, Error> {
        let rows = progress::Entity::find()
            .filter(progress::Column::UserId.eq(user.as_str()))
            .filter(progress::Column::StoryId.is_in(stories.into_iter().map(|id| id.0)))
            .all(&self.db.read)
            .await?;
        rows.into_iter()
            .map(|row| {
                Progress::try_from(row)
                    .map(|it| (it.story_id, it))
                    .map_err(Error::from)
            })
            .collect()
    }

    /// All labels of one kind of this user, by name.
    pub async fn labels(&self, user: &UserId, kind: LabelKind) -> Result<Vec<Label>, Error> {
        let select = Query::select()
            .columns(Column::ROW)
            .from(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(user.as_str()))
            .order_by(Column::NameKey, Order::Asc)
            .to_owned();
        let rows = self.db.read.query_all(&select).await?;
        rows.iter()
            .map(|row| Ok(Row::from_query_result(row, "")?.into()))
            .collect()
    }

    /// The labels of one kind on each of these stories, by name, in one statement.
    pub async fn labels_of(
        &self,
        user: &UserId,
        kind: LabelKind,
        stories: &BTreeSet<StoryId>,
    ) -> Result<HashMap<StoryId, Vec<Label>>, Error> {
        labels_of(&self.db.read, user, kind, stories).await
    }
}

/// The labels of one kind on each of these stories, by name, in one statement.
pub(super) async fn labels_of(
    db: &impl ConnectionTrait,
    user: &UserId,
    kind: LabelKind,
    stories: &BTreeSet<StoryId>,
) -> Result<HashMap<StoryId, Vec<Label>>, Error> {
    let names = names(kind);
    let (label, link) = (names.table, names.link_table);
    let joined = Expr::col((link.clone(), Column::UserId))
        .equals((label.clone(), Column::UserId))
        .and(Expr::col((link.clone(), names.link_column)).equals((label.clone(), Column::Id)));
    let select = Query::select()
        .columns(Column::ROW.map(|column| (label.clone(), column)))
        .column((link.clone(), Column::StoryId))
        .from(link.clone())
        .inner_join(label.clone(), joined)
        .and_where(Expr::col((link.clone(), Column::UserId)).eq(user.as_str()))
        .and_where(Expr::col((link, Column::StoryId)).is_in(stories.iter().map(|id| id.0)))
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
