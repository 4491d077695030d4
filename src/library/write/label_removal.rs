//! Taking a label off all stories at once, and which labels a story has lost that way.
//!
//! What the stories carried is a row for each [`PART`] stories, with their ids, and not a record a story: a library's
//! largest label would otherwise leave as much history as the library is large. The ids are in order, so one story is
//! looked for in one row of each removal.
//!
//! **Invariant:** no list of stories passes through this process, so memory does not grow with the library.

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

/// How many removals are looked through for one story. Of a base that is older it is forgotten what the story carried.
const REMOVALS: usize = 64;

/// How many stories one row of a removal names.
const PART: u32 = 1_000;

/// What the id of a story takes in such a row, in bytes.
const CARRIER: u64 = 33;

/// How many stories one statement stamps. One statement for 200,000 stories takes longer than a statement may.
const STAMPED_A_STATEMENT: u64 = 20_000;

/// The removals after version $2, up to the story's stamp ($5), of labels of kind $3 that the story may have carried,
/// and whether it did. Whoever removes a label stamps the stories that carry it, so none is above their stamp.
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

/// A label that a story lost because the label was removed.
#[derive(Debug, Clone)]
pub(super) struct LostLabel {
    /// The version that removed it.
    pub stamp: Version,
    pub label: LabelId,
    /// The removal of the label.
    pub by: Origin,
}

impl LibraryWriter {
    /// Takes a label off every story that carries it, and stamps them.
    pub(super) async fn take_off_all(&mut self, kind: LabelKind, id: LabelId) -> Result<(), Error> {
        if !self.record_carriers(kind, id).await? {
            return Ok(());
        }
        self.stamp_carriers(kind, id).await?;
        let names = names(kind);
        let unlink = Query::delete()
            .from_table(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column).eq(id.0))
            .to_owned();
        let unlinked = self.tx.execute(&unlink).await?;
        let carriers = unlinked.rows_affected();
        self.shrink(Usage::links(carriers));
        for _ in 0..carriers.div_ceil(PART.into()) {
            self.leave_history(0);
        }
        self.leave_history(usize::try_from(CARRIER * carriers).unwrap_or(usize::MAX));
        Ok(())
    }

    /// Stamps the stories that carry a label, so many a statement.
    async fn stamp_carriers(&mut self, kind: LabelKind, id: LabelId) -> Result<(), Error> {
        let stamp = self.stamp(Kind::Story).number();
        let names = names(kind);
        let mut after = None;
        loop {
            let mut carriers = Query::select()
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
                .filter(story::Column::Id.in_subquery(carriers.clone()))
                .exec(&self.tx)
                .await?;
            if stamped.rows_affected < STAMPED_A_STATEMENT {
                return Ok(());
            }
            let last = carriers.offset(STAMPED_A_STATEMENT - 1);
            let Some(row) = self.tx.query_one(last).await? else {
                return Ok(());
            };
            after = Some(row.try_get("", "story_id")?);
        }
    }

    /// Records which stories carry a label that is about to be removed. Returns whether any does.
    async fn record_carriers(&self, kind: LabelKind, id: LabelId) -> Result<bool, Error> {
        let backend = self.tx.get_database_backend();
        // PostgreSQL before version 18 has no `min` of a uuid.
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

    /// The labels of one kind that a story lost by their removal after `base`, the newest first; `None` when there
    /// were more removals than are looked through.
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
            i64::try_from(REMOVALS + 1).unwrap_or(i64::MAX).into(),
            self.head.epoch.number().into(),
        ];
        let select = Statement::from_sql_and_values(self.tx.get_database_backend(), LOST, values);
        let rows = self.tx.query_all_raw(select).await?;
        if rows.len() > REMOVALS {
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
