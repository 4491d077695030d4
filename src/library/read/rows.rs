//! Reading a library. Every statement names the user, so another user's rows are not even looked at.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _, FromQueryResult as _,
    Order, QueryFilter as _,
    sea_query::{Alias, Expr, Query},
};

use super::search::Search;
use crate::{
    library::{
        database::any_of::one_of,
        entity::{
            label::{Column, Row, names},
            progress, story, user,
        },
        error::Error,
        handle::Library,
        model::{
            id::{LabelId, ProgressId, StoryId},
            label::{Label, LabelKind},
            progress::Progress,
            story::Story,
        },
        write::user_row::insert_user,
    },
    version::{Head, UserId, Version},
};

/// How long a query waits for a replica that is behind, before each look at it.
const REPLICA_WAITS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_millis(80),
];

/// How long a query waits for a primary that is behind, before each further look at it.
const PRIMARY_WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

impl Library {
    /// The user's head; makes the user at their first request.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] when another app makes the users and has not made this one.
    pub async fn head(&self, user: &UserId) -> Result<Head, Error> {
        self.head_given(user, None).await
    }

    /// The same, given the head that a client claims to have been told, if any.
    ///
    /// # Errors
    /// As [`Library::head`].
    pub async fn head_given(&self, user: &UserId, claims: Option<Head>) -> Result<Head, Error> {
        let known = self.known.of(user);
        let read = self.db.in_time(self.find_or_make_head(user)).await?;
        self.settle(user, read, known, claims).await
    }

    async fn find_or_make_head(&self, user: &UserId) -> Result<Head, Error> {
        let reader = self.db.fresh_reader(user).await?;
        if let Some(head) = find_head(&reader, user).await? {
            return Ok(head);
        }
        drop(reader);
        insert_user(&self.db.write, user).await?;
        // Read where it was written: a replica may not have it yet.
        let row = user::Entity::find_by_id(user.as_str())
            .one(&self.db.write)
            .await?;
        row.map(|row| row.head())
            .ok_or_else(|| Error::fault("a user just inserted is not there"))
    }

    /// This library as a query is to read it, and the head that it reads at or after: the replica's, if there is one
    /// and it has come to `at_least`, or does within a moment.
    ///
    /// # Errors
    /// [`Error::Behind`] when the primary has not come to `at_least` either.
    pub async fn for_query(
        &self,
        user: &UserId,
        at_least: Option<Version>,
    ) -> Result<(Self, Head), Error> {
        if self.db.replica_may_answer() {
            for wait in REPLICA_WAITS {
                tokio::time::sleep(wait).await;
                // A replica that does not answer, or does not know the user, is done without.
                let Ok(reader) = self.db.reader(user).await else {
                    break;
                };
                let head = self.db.ask_replica(find_head(&reader, user));
                let Ok(Some(head)) = head.await else {
                    break;
                };
                if at_least.is_none_or(|version| head.version >= version) {
                    return Ok((self.clone(), head));
                }
            }
        }
        let library = self.on_primary();
        let mut head = library.head(user).await?;
        for wait in PRIMARY_WAITS {
            match at_least.filter(|version| head.version < *version) {
                None => return Ok((library, head)),
                // No client was told of a version that is not committed. But a failover may be under way, after which
                // this one's epoch is over.
                Some(_) => tokio::time::sleep(wait).await,
            }
            head = library.head(user).await?;
        }
        match at_least.filter(|version| head.version < *version) {
            None => Ok((library, head)),
            Some(asked) => Err(Error::Behind {
                asked,
                at: head.version,
            }),
        }
    }

    /// This library without its replica.
    #[must_use]
    pub fn on_primary(&self) -> Self {
        Self {
            db: self.db.clone().without_replica(),
            ..self.clone()
        }
    }

    /// Whether queries may read a replica.
    pub fn has_replica(&self) -> bool {
        self.db.has_replica()
    }

    /// The heads of those of `users` that exist, in one statement unless some have fallen.
    pub async fn heads(&self, users: &[UserId]) -> Result<Vec<(UserId, Head)>, Error> {
        let by_subject: HashMap<&str, &UserId> =
            users.iter().map(|user| (user.as_str(), user)).collect();
        let known: HashMap<_, _> = users
            .iter()
            .filter_map(|user| Some((user, self.known.of(user)?)))
            .collect();
        let rows = user::Entity::find()
            .filter(one_of(
                self.db.backend(),
                user::Column::Subject,
                by_subject.keys().copied(),
            ))
            .all(&self.db.fresh);
        let rows = self.db.in_time(rows).await?;
        let named = |row: user::Model| {
            by_subject
                .get(row.subject.as_str())
                .map(|&user| (user.clone(), row.head()))
        };
        let mut heads: Vec<_> = rows.into_iter().filter_map(named).collect();
        for (user, head) in &mut heads {
            let known = known.get(user).copied();
            match self.settle(user, *head, known, None).await {
                Ok(settled) => *head = settled,
                // One user's fault holds up nobody else; it is found again the next time.
                Err(error) => tracing::error!(
                    user.id = user.as_str(),
                    error.causes = error.causes(),
                    "the head of this user has fallen, and no epoch can be begun"
                ),
            }
        }
        Ok(heads)
    }

    /// One progress of this user.
    pub async fn find_progress(
        &self,
        user: &UserId,
        id: ProgressId,
    ) -> Result<Option<Progress>, Error> {
        let row = progress::Entity::find_by_id((user.as_str().to_owned(), id.0))
            .one(&self.db.reader(user).await?)
            .await?;
        Ok(row.map(Progress::try_from).transpose()?)
    }

    /// Those of `ids` that are stories of this user, in one statement.
    pub async fn stories(
        &self,
        user: &UserId,
        ids: impl IntoIterator<Item = StoryId> + Send,
    ) -> Result<HashMap<StoryId, Story>, Error> {
        let reader = self.db.reader(user).await?;
        self.db.in_time(stories(&reader, user, ids)).await
    }

    /// The progresses of those stories of this user, in one statement.
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
                Progress::try_from(row)
                    .map(|it| (it.story_id, it))
                    .map_err(Error::from)
            })
            .collect()
    }

    /// The labels of one kind of this user in whose names the search finds something, by name.
    pub async fn labels(
        &self,
        user: &UserId,
        kind: LabelKind,
        search: &Search,
    ) -> Result<Vec<Label>, Error> {
        let select = Query::select()
            .columns(Column::ROW)
            .from(names(kind).table)
            .and_where(Expr::col(Column::UserId).eq(user.as_str()))
            .cond_where(search.in_any(&[Expr::col(Column::NameKey)]))
            .order_by(Column::NameKey, Order::Asc)
            .to_owned();
        let rows = self.db.reader(user).await?.query_all(&select).await?;
        rows.iter()
            .map(|row| Ok(Row::from_query_result(row, "")?.into()))
            .collect()
    }

    /// How many stories of this user carry each of these labels, in one statement. Those that none carries are left out.
    pub async fn story_counts(
        &self,
        user: &UserId,
        kind: LabelKind,
        labels: &[LabelId],
    ) -> Result<HashMap<LabelId, i64>, Error> {
        /// More are not named one by one: all are counted.
        const NAMED: usize = 1_000;
        let names = names(kind);
        let mut select = Query::select()
            .expr_as(Expr::col(names.link_column.clone()), "id")
            .expr_as(Expr::cust("count(*)"), "stories")
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(user.as_str()))
            .group_by_col(names.link_column.clone())
            .to_owned();
        if labels.len() <= NAMED {
            let labels = labels.iter().map(|label| label.0);
            select.and_where(one_of(
                self.db.backend(),
                Expr::col(names.link_column),
                labels,
            ));
        }
        let reader = self.db.reader(user).await?;
        let rows = self.db.in_time(reader.query_all(&select)).await?;
        rows.iter()
            .map(|row| Ok((LabelId(row.try_get("", "id")?), row.try_get("", "stories")?)))
            .collect()
    }

    /// The labels of one kind that the most stories carry, those first.
    pub async fn top_labels(
        &self,
        user: &UserId,
        kind: LabelKind,
        first: u32,
    ) -> Result<Vec<Label>, Error> {
        let names = names(kind);
        let (label, carried) = (names.table, Alias::new("carried"));
        // Counted before they are joined: the index on the links has all that it takes.
        let counts = Query::select()
            .column(names.link_column.clone())
            .expr_as(Expr::cust("count(*)"), "stories")
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(user.as_str()))
            .group_by_col(names.link_column.clone())
            .to_owned();
        let joined =
            Expr::col((carried.clone(), names.link_column)).equals((label.clone(), Column::Id));
        let select = Query::select()
            .columns(Column::ROW.map(|column| (label.clone(), column)))
            .from_subquery(counts, carried.clone())
            .inner_join(label.clone(), joined)
            .and_where(Expr::col((label.clone(), Column::UserId)).eq(user.as_str()))
            .order_by((carried, Alias::new("stories")), Order::Desc)
            .order_by((label, Column::NameKey), Order::Asc)
            .limit(u64::from(first))
            .to_owned();
        let rows = self.db.reader(user).await?.query_all(&select).await?;
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
        let reader = self.db.reader(user).await?;
        let labels = labels_of(&reader, user, kind, Some(stories));
        self.db.in_time(labels).await
    }
}

/// Those of `ids` that are stories of this user, in one statement.
pub(in crate::library) async fn stories(
    db: &impl ConnectionTrait,
    user: &UserId,
    ids: impl IntoIterator<Item = StoryId> + Send,
) -> Result<HashMap<StoryId, Story>, Error> {
    let rows = story::find()
        .filter(story::Column::UserId.eq(user.as_str()))
        .filter(one_of(
            db.get_database_backend(),
            story::Column::Id,
            ids.into_iter().map(|id| id.0),
        ))
        .all(db)
        .await?;
    rows.into_iter()
        .map(|row| {
            Story::try_from(row)
                .map(|story| (story.id, story))
                .map_err(Error::from)
        })
        .collect()
}

/// The labels of one kind on each of these stories, or of all, by name, in one statement.
pub(in crate::library) async fn labels_of(
    db: &impl ConnectionTrait,
    user: &UserId,
    kind: LabelKind,
    stories: Option<&BTreeSet<StoryId>>,
) -> Result<HashMap<StoryId, Vec<Label>>, Error> {
    let names = names(kind);
    let (label, link) = (names.table, names.link_table);
    let joined = Expr::col((link.clone(), Column::UserId))
        .equals((label.clone(), Column::UserId))
        .and(Expr::col((link.clone(), names.link_column)).equals((label.clone(), Column::Id)));
    let ids = stories.map(|stories| stories.iter().map(|id| id.0));
    let select = Query::select()
        .columns(Column::ROW.map(|column| (label.clone(), column)))
        .column((link.clone(), Column::StoryId))
        .from(link.clone())
        .inner_join(label.clone(), joined)
        .and_where(Expr::col((link.clone(), Column::UserId)).eq(user.as_str()))
        .and_where_option(ids.map(|ids| {
            one_of(
                db.get_database_backend(),
                Expr::col((link, Column::StoryId)),
                ids,
            )
        }))
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

/// The head in the user's row, if there is one.
pub(in crate::library) async fn find_head(
    db: &impl ConnectionTrait,
    user: &UserId,
) -> Result<Option<Head>, Error> {
    let row = user::Entity::find_by_id(user.as_str()).one(db).await?;
    Ok(row.map(|row| row.head()))
}
