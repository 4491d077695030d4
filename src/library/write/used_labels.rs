//! Labels that an undo would remove, but that stories carry now.

use std::collections::BTreeSet;

use sea_orm::{
    ConnectionTrait as _, ExprTrait as _,
    sea_query::{Expr, Query},
};
use serde_json::json;
use uuid::Uuid;

use super::{reversal_plan::Plan, writer::LibraryWriter};
use crate::library::{
    entity::label::{Column, names},
    error::{Clash, Error},
    model::{id::LabelId, kind::Kind, label::LabelKind},
    read::past::as_of::AsOf,
};

impl LibraryWriter {
    /// Keeps a label that was put on stories since. Its removal would take it off them.
    pub(super) async fn keep_used_labels(
        &self,
        plan: &mut Plan,
        after: &AsOf<'_>,
        now: &AsOf<'_>,
    ) -> Result<(), Error> {
        for (n, kind) in [LabelKind::Tag, LabelKind::Fandom].into_iter().enumerate() {
            for label in plan.labels[n].remove.clone() {
                let carriers = self.carriers_of(kind, label).await?;
                let carriers: Vec<_> = carriers
                    .into_iter()
                    .filter(|story| !plan.stories.remove.contains(story))
                    .collect();
                let known = after.stories(&carriers).await?;
                let gained = carriers.into_iter().find(|story| {
                    let past = known.get(story);
                    !past.is_some_and(|past| past.state.label_ids(kind).contains(&LabelId(label)))
                });
                if let Some(story) = gained {
                    let clash = lost_label(kind, story, label, now).await?;
                    plan.clashes.push((Kind::Story, clash));
                    plan.labels[n].remove.remove(&label);
                }
            }
        }
        Ok(())
    }

    async fn carriers_of(&self, kind: LabelKind, label: Uuid) -> Result<Vec<Uuid>, Error> {
        let names = names(kind);
        let select = Query::select()
            .column(Column::StoryId)
            .from(names.link_table)
            .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
            .and_where(Expr::col(names.link_column).eq(label))
            .to_owned();
        let rows = self.tx.query_all(&select).await?;
        let ids = rows.iter().map(|row| Ok(row.try_get("", "story_id")?));
        ids.collect()
    }
}

/// The conflict of a story's set of labels, which would lose one.
async fn lost_label(
    kind: LabelKind,
    story: Uuid,
    label: Uuid,
    now: &AsOf<'_>,
) -> Result<Clash, Error> {
    let row = now.stories(&[story]).await?.remove(&story);
    let theirs = row
        .map(|past| past.state.label_ids(kind).clone())
        .unwrap_or_default();
    let yours: BTreeSet<_> = theirs.iter().filter(|id| id.0 != label).collect();
    Ok(Clash {
        row: Some(story),
        field: kind.ids_field().to_owned(),
        base: None,
        yours: json!(yours),
        theirs: json!(theirs),
        device: None,
        at: None,
    })
}
