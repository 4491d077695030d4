//! Removes a label from all stories at once, and finds the labels that a story lost that way.
//!
//! The history contains one row per [`PART`] stories, with their ids, instead of one row per story: otherwise the largest
//! label of a library would produce as much history as the library is large. The ids are sorted, so a lookup for one story
//! reads one row of each removal.
//!
//! **Invariant:** no list of stories is loaded into this process, so memory does not grow with the library.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, ExprTrait as _, Order,
    QueryFilter as _, Statement,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::{conflict::Origin, conflict_resolution::Target, origin::origin, writer::LibraryWriter};
use crate::{
    library::{
        entity::{
            columns::millis,
            label::{Column, names},
            story,
        },
        error::Error,
        model::{id::LabelId, kind::Kind, label::LabelKind, limits::Usage},
    },
    version::Version,
};

/// Maximum removals that are searched for one story. For an older base, the story's labels are unknown.
const MAX_REMOVALS: usize = 64;

/// Stories per history row.
const PART: u32 = 1_000;

/// Size of a story's id in such a row, in bytes.
const STORY_ID_BYTES: u64 = 33;

/// Stories per statement that stamps. A statement for 200,000 stories would exceed the statement timeout.
const STAMPED_A_STATEMENT: u64 = 20_000;

/// The removals of labels of kind $3 after version $2, and whether the story had the label. A removal stamps the label's
/// stories, so none is above the story's stamp ($5).
const LOST: &str = "
SELECT r.stamp, r.id, r.removed_at, r.carriers LIKE $4 AS carried,
  (SELECT w.device_id FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $8 AND w.version = r.stamp) AS device_id,
  (SELECT w.device_name FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $8 AND w.version = r.stamp) AS device_name
FROM (
  SELECT stamp, id, removed_at, carriers FROM topaz_label_removal
  WHERE user_id = $1 AND stamp > $2 AND stamp <= $5 AND kind = $3 AND first_story <= $6 AND last_story >= $6
  ORDER BY stamp DESC LIMIT $7
) AS r
ORDER BY r.stamp DESC";

/// A label that a story lost because the label was deleted.
#[derive(Debug, Clone)]
pub(super) struct LostLabel {
    /// The version that deleted it.
    pub stamp: Version,
    pub label: LabelId,
    /// The origin of the deletion.
    pub by: Origin,
}

impl LibraryWriter {
    /// Removes a label from all its stories, and stamps them.
    pub(super) async fn remove_from_stories(
        &mut self,
        kind: LabelKind,
        id: LabelId,
    ) -> Result<(), Error> {
        if !self.record_stories(kind, id).await? {
            return Ok(());
        }
        self.stamp_stories(kind, id).await?;
        let names = names(kind);
        let unlink = Query::delete()
            .from_table(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column).eq(id.0))
            .to_owned();
        let unlinked = self.tx.execute(&unlink).await?;
        let stories = unlinked.rows_affected();
        self.shrink(Usage::links(stories));
        for _ in 0..stories.div_ceil(PART.into()) {
            self.leave_history(0);
        }
        self.leave_history(usize::try_from(STORY_ID_BYTES * stories).unwrap_or(usize::MAX));
        Ok(())
    }

    /// Stamps the stories of a label, in batches.
    async fn stamp_stories(&mut self, kind: LabelKind, id: LabelId) -> Result<(), Error> {
        let stamp = self.stamp(Kind::Story).number();
        let names = names(kind);
        let mut after = None;
        loop {
            let mut stories = Query::select()
                .column(Column::StoryId)
                .from(names.link_table.clone())
                .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
                .and_where(Expr::col(names.link_column.clone()).eq(id.0))
                .and_where_option(after.map(|after: Uuid| Expr::col(Column::StoryId).gt(after)))
                .order_by(Column::StoryId, Order::Asc)
                .limit(STAMPED_A_STATEMENT)
                .to_owned();
            let stamped = story::Entity::update_many()
                .col_expr(story::Column::Stamp, stamp.into())
                .col_expr(story::Column::UpdatedAt, Expr::val(millis(self.now)))
                .filter(story::Column::UserId.eq(self.user.as_str()))
                .filter(story::Column::Id.in_subquery(stories.clone()))
                .exec(&self.tx)
                .await?;
            if stamped.rows_affected < STAMPED_A_STATEMENT {
                return Ok(());
            }
            let last = stories.offset(STAMPED_A_STATEMENT - 1);
            let Some(row) = self.tx.query_one(last).await? else {
                return Ok(());
            };
            after = Some(row.try_get("", "story_id")?);
        }
    }

    /// Records the stories of a label that is being deleted. Returns whether there are any.
    async fn record_stories(&self, kind: LabelKind, id: LabelId) -> Result<bool, Error> {
        let backend = self.tx.get_database_backend();
        // PostgreSQL before version 18 has no `min(uuid)`.
        let [first, last, ids] = match backend {
            DbBackend::Postgres => [
                "(array_agg(story_id ORDER BY story_id))[1]",
                "(array_agg(story_id ORDER BY story_id DESC))[1]",
                "string_agg(replace(CAST(story_id AS text), '-', ''), ' ')",
            ],
            _ => [
                "min(story_id)",
                "max(story_id)",
                "group_concat(lower(hex(story_id)), ' ')",
            ],
        };
        let names = names(kind);
        let sql = format!(
            "INSERT INTO topaz_label_removal (user_id, stamp, kind, id, removed_at, first_story, last_story, carriers) \
             SELECT $1, $2, $3, $4, $5, {first}, {last}, {ids} FROM \
               (SELECT story_id, (row_number() OVER (ORDER BY story_id) - 1) / {PART} AS part FROM {} \
                WHERE user_id = $1 AND {} = $4) AS carrier \
             GROUP BY part",
            names.link_table.0, names.link_column.0,
        );
        let values = [
            self.user.as_str().into(),
            self.head.version.number().into(),
            Kind::from(kind).name().into(),
            id.0.into(),
            millis(self.now).into(),
        ];
        let insert = Statement::from_sql_and_values(backend, sql, values);
        Ok(self.tx.execute_raw(insert).await?.rows_affected() > 0)
    }

    /// Returns the labels of one kind that a story lost by their deletion after `base`, newest first. `None` if there were
    /// more than [`MAX_REMOVALS`].
    pub(super) async fn lost_labels(
        &self,
        kind: LabelKind,
        story: Target,
        base: Version,
    ) -> Result<Option<Vec<LostLabel>>, Error> {
        let values = [
            self.user.as_str().into(),
            base.number().into(),
            Kind::from(kind).name().into(),
            format!("%{}%", story.id.simple()).into(),
            story.stamp.number().into(),
            story.id.into(),
            i64::try_from(MAX_REMOVALS + 1).unwrap_or(i64::MAX).into(),
            self.head.epoch.number().into(),
        ];
        let select = Statement::from_sql_and_values(self.tx.get_database_backend(), LOST, values);
        let rows = self.tx.query_all_raw(select).await?;
        if rows.len() > MAX_REMOVALS {
            return Ok(None);
        }
        let mut lost = Vec::new();
        for row in rows {
            if row.try_get("", "carried")? {
                lost.push(LostLabel {
                    stamp: Version::new(row.try_get("", "stamp")?),
                    label: LabelId(row.try_get("", "id")?),
                    by: origin(&row, "removed_at")?,
                });
            }
        }
        Ok(Some(lost))
    }
}
