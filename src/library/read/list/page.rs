//! The list of progresses, one statement per page, and one more for each kind of label in the filter.
//!
//! **Invariant:** pagination is keyset-based: a cursor contains the sort key and id, not an offset. Changes between two
//! pages do not move other entries across a page boundary.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, EntityTrait as _, ExprTrait as _,
    JoinType, Order, PaginatorTrait as _, QueryFilter as _, QueryOrder, QuerySelect,
    QueryTrait as _, Select, sea_query::Expr,
};

use super::{
    filter::ProgressFilter,
    label_filter::LabelSizes,
    order::{Listed, ProgressCursor, ProgressOrder},
};
use crate::{
    library::{
        entity::{progress, story},
        error::Error,
        handle::Library,
    },
    version::UserId,
};

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<C> {
    /// Maximum number of entries.
    pub first: u32,
    /// The cursor to start after; `None` for the start of the list.
    pub after: Option<C>,
}

impl Library {
    /// Returns the user's progresses that match `filter`. `with_stories` adds their stories: a later read might find them
    /// deleted.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `after` for a cursor of another order.
    pub async fn progresses(
        &self,
        user: &UserId,
        filter: &ProgressFilter,
        order: ProgressOrder,
        page: Page<ProgressCursor>,
        with_stories: bool,
    ) -> Result<Vec<Listed>, Error> {
        let with_story = with_stories || order.field.is_of_story();
        let reader = self.db.reader(user).await?;
        let sizes = filter.label_sizes(&reader, user).await?;
        let backend = self.db.backend();
        let keys = order.field.keys(!filter.is_narrow(backend, &sizes));
        let after = page.after.map(|cursor| order.after(cursor, keys.clone()));
        let after = after.transpose()?;
        let select = select(backend, user, filter, Some(&sizes), with_story)
            .filter(after.unwrap_or_else(Condition::all));
        let select = if with_stories {
            let select = select.select_two_required(story::Entity);
            ordered(select, order, keys, page.first).into_query()
        } else {
            ordered(select, order, keys, page.first).into_query()
        };
        let rows = reader.query_all(&select).await?;
        rows.iter()
            .map(|row| order.read(row, with_stories))
            .collect()
    }

    /// Counts the user's progresses that match `filter`.
    pub async fn count_progresses(
        &self,
        user: &UserId,
        filter: &ProgressFilter,
    ) -> Result<u64, Error> {
        let reader = self.db.reader(user).await?;
        let select = select(self.db.backend(), user, filter, None, false);
        Ok(select.count(&reader).await?)
    }
}

/// Sorts and limits a selection, and selects the columns of the cursor.
fn ordered<S: QuerySelect + QueryOrder>(
    select: S,
    order: ProgressOrder,
    [value, id]: [Expr; 2],
    first: u32,
) -> S {
    let shown = if order.field.is_text() {
        value.clone()
    } else {
        value.clone().cast_as("bigint")
    };
    let direction = Order::from(order.direction);
    select
        .expr_as(shown, "place_value")
        .expr_as(id.clone(), "place_id")
        .order_by(value, direction.clone())
        .order_by(id, direction)
        .limit(u64::from(first))
}

/// Selects the matching progresses, joined to their stories if the filter or order needs them.
fn select(
    backend: DbBackend,
    user: &UserId,
    filter: &ProgressFilter,
    sizes: Option<&LabelSizes>,
    with_story: bool,
) -> Select<progress::Entity> {
    let select = progress::Entity::find()
        .filter(progress::Column::UserId.eq(user.as_str()))
        .filter(filter.condition(backend, user, sizes));
    if !with_story && !filter.is_of_story() {
        return select;
    }
    select
        .join(JoinType::InnerJoin, progress::to_story())
        .filter(story::Column::UserId.eq(user.as_str()))
}
