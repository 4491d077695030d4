//! The list of progresses: which of them, in which order, a page at a time. One statement a page.
//!
//! **Invariant:** a cursor holds the value and the id at its place, and not a count, so that what is added, changed or
//! removed between two pages moves no other entry from one page to the other.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend, EntityTrait as _, ExprTrait as _,
    JoinType, Order, PaginatorTrait as _, QueryFilter as _, QueryOrder, QuerySelect,
    QueryTrait as _, Select,
};

use super::{
    filter::ProgressFilter,
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

/// A part of a list: the first so many after a place in it.
#[derive(Debug, Clone)]
pub struct Page<C> {
    /// How many, at the most.
    pub first: u32,
    /// After which place; from the start when there is none.
    pub after: Option<C>,
}

impl Library {
    /// The progresses of this user that pass `filter`, with the place of each, and with its story if `with_stories`: a
    /// story that is read later may have been deleted by then.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `after` when the page begins at a place in another order.
    pub async fn progresses(
        &self,
        user: &UserId,
        filter: &ProgressFilter,
        order: ProgressOrder,
        page: Page<ProgressCursor>,
        with_stories: bool,
    ) -> Result<Vec<Listed>, Error> {
        let after = page.after.map(|place| order.after(place)).transpose()?;
        let with_story = with_stories || order.field.is_of_story();
        let select = select(self.db.backend(), user, filter, with_story)
            .filter(after.unwrap_or_else(Condition::all));
        let select = if with_stories {
            let select = select.select_two_required(story::Entity);
            ordered(select, order, page.first).into_query()
        } else {
            ordered(select, order, page.first).into_query()
        };
        let rows = self.db.reader(user).await?.query_all(&select).await?;
        rows.iter()
            .map(|row| order.read(row, with_stories))
            .collect()
    }

    /// How many progresses of this user pass `filter`.
    pub async fn count_progresses(
        &self,
        user: &UserId,
        filter: &ProgressFilter,
    ) -> Result<u64, Error> {
        let reader = self.db.reader(user).await?;
        let select = select(self.db.backend(), user, filter, false);
        Ok(select.count(&reader).await?)
    }
}

/// The first so many of a selection, with the place of each.
fn ordered<S: QuerySelect + QueryOrder>(select: S, order: ProgressOrder, first: u32) -> S {
    let (value, id) = (order.field.value(), order.field.id());
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

/// The progresses that pass, joined to their stories if those have a say.
fn select(
    backend: DbBackend,
    user: &UserId,
    filter: &ProgressFilter,
    with_story: bool,
) -> Select<progress::Entity> {
    let select = progress::Entity::find()
        .filter(progress::Column::UserId.eq(user.as_str()))
        .filter(filter.condition(backend, user));
    if !with_story && !filter.is_of_story() {
        return select;
    }
    select
        .join(JoinType::InnerJoin, progress::to_story())
        .filter(story::Column::UserId.eq(user.as_str()))
}
