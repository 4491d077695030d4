//! Taking a label off all stories at once, and which labels a story has lost that way.
//!
//! What the stories carried is one row a label, with the ids of the stories, and not a record a story: a library's
//! largest label would otherwise leave as much history as the library is large.
//!
//! **Invariant:** no id of a story passes through this process: both the stamps and the record are made by one
//! statement each, so memory does not grow with the library.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, Statement,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::{conflict::Origin, conflict_resolution::origin, writer::LibraryWriter};
use crate::{
    library::{
        entity::{
            label::{Column, names},
            millis, story,
        },
        error::Error,
        model::{id::LabelId, kind::Kind, label::LabelKind, limits::Usage},
    },
    version::Version,
};

/// How many removals are looked through for one story. Of a base that is older it is forgotten what the story carried.
const REMOVALS: usize = 64;

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
        let names = names(kind);
        let carriers = Query::select()
            .column(Column::StoryId)
            .from(names.link_table.clone())
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column.clone()).eq(id.0))
            .to_owned();
        let stamp = self.stamp(Kind::Story).number();
        story::Entity::update_many()
            .col_expr(story::Column::Stamp, stamp.into())
            .col_expr(story::Column::UpdatedAt, Expr::val(millis(self.now)))
            .filter(story::Column::UserId.eq(self.user.as_str()))
            .filter(story::Column::Id.in_subquery(carriers))
            .exec(&self.tx)
            .await?;
        let unlink = Query::delete()
            .from_table(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column).eq(id.0))
            .to_owned();
        let unlinked = self.tx.execute(&unlink).await?;
        self.shrink(Usage::links(unlinked.rows_affected()));
        Ok(())
    }

    /// Records which stories carry a label that is about to be removed. Returns whether any does.
    async fn record_carriers(&self, kind: LabelKind, id: LabelId) -> Result<bool, Error> {
        let backend = self.tx.get_database_backend();
        let list = match backend {
            DbBackend::Postgres => "string_agg(replace(CAST(story_id AS text), '-', ''), ' ')",
            _ => "group_concat(lower(hex(story_id)), ' ')",
        };
        let names = names(kind);
        let sql = format!(
            "INSERT INTO topaz_label_removal (user_id, stamp, kind, id, removed_at, carriers) \
             SELECT $1, $2, $3, $4, $5, {list} FROM {} WHERE user_id = $1 AND {} = $4 HAVING count(*) > 0",
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
        story: Uuid,
        base: Version,
    ) -> Result<Option<Vec<LostLabel>>, Error> {
        let sql = format!(
            "SELECT r.stamp, r.id, r.removed_at, r.carriers LIKE $4 AS carried, w.device_id, w.device_name \
             FROM topaz_label_removal r \
             LEFT JOIN topaz_write w ON w.user_id = r.user_id AND w.epoch = $5 AND w.version = r.stamp \
             WHERE r.user_id = $1 AND r.stamp > $2 AND r.kind = $3 ORDER BY r.stamp DESC LIMIT {}",
            REMOVALS + 1
        );
        let values = [
            self.user.as_str().into(),
            base.number().into(),
            Kind::from(kind).name().into(),
            format!("%{}%", story.simple()).into(),
            self.head.epoch.number().into(),
        ];
        let select = Statement::from_sql_and_values(self.tx.get_database_backend(), sql, values);
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
