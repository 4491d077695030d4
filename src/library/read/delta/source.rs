//! The statements that read the stories and progresses of a page, each a range scan of the index on stamps.
//!
//! **Invariant:** outside of a transaction, these statements find rows only if the user's row is still that of the first
//! statement.
//! **Invariant:** stories and progresses are read up to a number of bytes. The database adds up their sizes before it
//! reads any of their texts.

use std::cmp::Ordering;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait, ExprTrait as _,
    FromQueryResult, IntoSimpleExpr, JoinType, Order, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Select,
    sea_query::{Asterisk, Expr, Query, SelectStatement},
};

use super::{
    change::{Change, DeltaCursor, PROGRESS, REMOVED, REMOVED_KINDS, STORY},
    page::{Found, Read},
    unchanged::still_is,
};
use crate::{
    library::{
        entity::{progress, story, tombstone, user},
        error::Error,
        model::story::Story,
    },
    version::{UserId, Version},
};

/// Parameters of the statements of one page.
pub(super) struct Source<'a, C> {
    pub db: &'a C,
    pub user: &'a UserId,
    pub since: Version,
    pub after: Option<DeltaCursor>,
    /// One more than the page's limit, to detect a next page.
    pub limit: u64,
    /// Bytes read of one kind. The row that exceeds it is included.
    pub bytes: u64,
    /// Whether the stories of progresses are read too, and count.
    pub with_stories: bool,
}

/// What the first statement of a page finds.
pub(super) struct First {
    pub user: user::Model,
    pub tags: Read,
    pub fandoms: Read,
    pub tombstones: Read,
    /// The newest stamps.
    pub newest_story: Option<Version>,
    pub newest_progress: Option<Version>,
}

/// SQL for the bytes of a story's texts.
const STORY_TEXTS: &str = "octet_length(title) + octet_length(author) + octet_length(coalesce(url_typed, url)) \
    + coalesce(octet_length(description), 0) + coalesce(octet_length(summary), 0)";

/// Selects the `sized` rows, each with the bytes of the rows before it (`page_before`) and the total number of rows.
fn placed(sized: SelectStatement) -> SelectStatement {
    Query::select()
        .column(Asterisk)
        .expr_as(Expr::cust("CAST(bytes AS bigint)"), "page_bytes")
        .expr_as(Expr::cust("count(*) OVER ()"), "page_available")
        .expr_as(
            Expr::cust("CAST(sum(bytes) OVER (ORDER BY stamp, id) AS bigint) - bytes"),
            "page_before",
        )
        .from_subquery(sized, "sized")
        .to_owned()
}

/// Reads the rows of a page, converted by `change`.
async fn read<M: FromQueryResult>(
    db: &impl ConnectionTrait,
    select: SelectStatement,
    change: impl Fn(M) -> Result<Change, Error>,
) -> Result<Read, Error> {
    let rows = db.query_all(&select).await?;
    let mut found = Vec::with_capacity(rows.len());
    let mut available = 0;
    for row in &rows {
        let bytes: i64 = row.try_get("", "page_bytes")?;
        available = row.try_get("", "page_available")?;
        found.push(Found {
            bytes: bytes.unsigned_abs(),
            change: change(M::from_query_result(row, "")?)?,
        });
    }
    let is_cut = i64::try_from(rows.len()).is_ok_and(|read| read < available);
    Ok(Read { found, is_cut })
}

impl<C: ConnectionTrait> Source<'_, C> {
    /// The condition on rows of `rank` after the cursor.
    pub fn beyond(
        &self,
        rank: u8,
        stamp: impl IntoSimpleExpr,
        id: impl IntoSimpleExpr,
    ) -> Condition {
        let (stamp, id) = (stamp.into_simple_expr(), id.into_simple_expr());
        let Some(after) = self.after else {
            return Condition::all().add(stamp.gt(self.since.number()));
        };
        let at = after.stamp.number();
        match rank.cmp(&after.rank) {
            Ordering::Less => Condition::all().add(stamp.gt(at)),
            Ordering::Greater => Condition::all().add(stamp.gte(at)),
            // One row comparison, which is an index range: no row before it is read.
            Ordering::Equal => Condition::all().add(Expr::tuple([stamp, id]).gt(place_of(after))),
        }
    }

    /// The condition on tombstones after the cursor.
    pub fn beyond_removed(&self) -> Condition {
        use tombstone::Column::{Id, Kind, Stamp};
        let Some(after) = self.after.filter(|after| after.rank >= REMOVED) else {
            return self.beyond(REMOVED, Stamp, Id);
        };
        let delivered = usize::from(after.rank - REMOVED) + 1;
        let later = REMOVED_KINDS.iter().skip(delivered);
        let later = later.map(|kind| kind.name());
        let place = Expr::tuple([Stamp.into_simple_expr(), Id.into_simple_expr()]);
        Condition::all()
            .add(place.clone().gte(place_of(after)))
            .add(
                Condition::any()
                    .add(place.gt(place_of(after)))
                    .add(Kind.is_in(later)),
            )
    }

    /// Reads the stories and progresses of the page, after its first statement: first the kind whose rows may come first. A
    /// kind without changes is skipped, and one whose changes all come after the page: the changes of one stamp are ordered
    /// by kind, and an import may have many.
    ///
    /// Outside of a transaction, returns `None` if the user's row is not `unless_changed` any more.
    pub async fn large(
        &self,
        first: &First,
        unless_changed: Option<&user::Model>,
    ) -> Result<Option<[Read; 2]>, Error> {
        let small = [&first.tags, &first.fandoms];
        let mut end = small
            .into_iter()
            .filter_map(|read| read.end(self.limit))
            .min();
        let mut reads: [Read; 2] = Default::default();
        let mut kinds = [
            (STORY, first.newest_story),
            (PROGRESS, first.newest_progress),
        ];
        kinds.sort_unstable_by_key(|(rank, _)| self.start(*rank));
        for ((rank, newest), read) in kinds.into_iter().zip(&mut reads) {
            let start = self.start(rank);
            let is_changed = newest.is_some_and(|newest| newest >= start.0);
            if !is_changed || end.is_some_and(|end| end < start) {
                continue;
            }
            *read = match rank {
                STORY => self.stories(unless_changed).await?,
                _ => self.progresses(unless_changed).await?,
            };
            if unless_changed.is_some() && read.found.is_empty() {
                return Ok(None);
            }
            end = end.into_iter().chain(read.end(self.limit)).min();
        }
        Ok(Some(reads))
    }

    /// Returns the lowest stamp that rows of `rank` may have on the page, with the rank.
    fn start(&self, rank: u8) -> (Version, u8) {
        let next = |version: Version| Version::new(version.number().saturating_add(1));
        let stamp = match self.after {
            // The rows of one stamp may be on two pages.
            Some(after) if rank >= after.rank => after.stamp,
            Some(after) => next(after.stamp),
            None => next(self.since),
        };
        (stamp, rank)
    }

    async fn stories(&self, unless_changed: Option<&user::Model>) -> Result<Read, Error> {
        use story::Column::{Id, Stamp, UserId};
        let beyond = self
            .beyond(STORY, Stamp, Id)
            .add_option(unless_changed.map(still_is));
        let select = self.of_page(story::find(), STORY_TEXTS, beyond, (UserId, Stamp, Id));
        let change = |row: story::Model| {
            let story = Story::try_from(row)?;
            Ok(Change::Story {
                story,
                tags: Vec::new(),
                fandoms: Vec::new(),
            })
        };
        read(self.db, select, change).await
    }

    async fn progresses(&self, unless_changed: Option<&user::Model>) -> Result<Read, Error> {
        use progress::Column::{Id, Stamp, UserId};
        let notes = "coalesce(octet_length(notes), 0)";
        let bytes = if self.with_stories {
            format!(
                "{notes} + (SELECT {STORY_TEXTS} FROM topaz_story s \
                 WHERE s.user_id = topaz_progress.user_id AND s.id = topaz_progress.story_id)"
            )
        } else {
            notes.to_owned()
        };
        let beyond = self
            .beyond(PROGRESS, Stamp, Id)
            .add_option(unless_changed.map(still_is));
        let select = self.of_page(progress::find(), &bytes, beyond, (UserId, Stamp, Id));
        let change = |row: progress::Model| Ok(Change::Progress(row.try_into()?));
        read(self.db, select, change).await
    }

    /// Selects the `rows` of a page, `beyond` its cursor, with sizes by the SQL in `bytes`.
    fn of_page<E: EntityTrait>(
        &self,
        rows: Select<E>,
        bytes: &str,
        beyond: Condition,
        (user, stamp, id): (E::Column, E::Column, E::Column),
    ) -> SelectStatement {
        let own = || user.eq(self.user.as_str());
        let sized = |select: Select<E>| {
            let sized = select.expr_as(Expr::cust(bytes.to_owned()), "bytes");
            let first = sized.filter(own()).filter(beyond).limit(self.limit);
            first.order_by_asc(stamp).order_by_asc(id).into_query()
        };
        let most = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let fits = Expr::col("page_before").lt(most);
        if self.db.get_database_backend() == DbBackend::Postgres {
            // PostgreSQL passes long texts by reference (TOAST), and reads only those that it returns.
            return Query::select()
                .column(Asterisk)
                .from_subquery(placed(sized(rows)), "page")
                .and_where(fits)
                .order_by("stamp", Order::Asc)
                .order_by("id", Order::Asc)
                .to_owned();
        }
        // SQLite would copy the texts of all rows, so the window runs over keys only.
        let keys = sized(
            E::find()
                .select_only()
                .column_as(id, "id")
                .column_as(stamp, "stamp"),
        );
        let page = Query::select()
            .expr_as(Expr::col("id"), "page_id")
            .columns(["page_bytes", "page_available"])
            .from_subquery(placed(keys), "placed")
            .and_where(fits)
            .to_owned();
        let is_of_page = id.into_simple_expr().eq(Expr::col(("page", "page_id")));
        rows.filter(own())
            .order_by_asc(stamp)
            .order_by_asc(id)
            .into_query()
            .join_subquery(JoinType::InnerJoin, page, "page", is_of_page)
            .columns(["page_bytes", "page_available"])
            .to_owned()
    }
}

/// The row comparison's value for a cursor.
fn place_of(cursor: DeltaCursor) -> Expr {
    Expr::tuple([Expr::val(cursor.stamp.number()), Expr::val(cursor.id)])
}
