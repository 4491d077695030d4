//! Removes many entries at once, with tombstones, for [`super::restore`].

use std::collections::BTreeSet;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _,
};
use serde::Serialize;
use uuid::Uuid;

use super::writer::{LibraryWriter, ROWS_A_STATEMENT};
use crate::{
    library::{
        database::any_of::one_of,
        entity::{columns::millis, progress, story, tombstone},
        error::Error,
        model::{kind::Kind, limits::Usage, story::RemovedStory},
    },
    version::Version,
};

impl LibraryWriter {
    /// Removes the halves of entries, with tombstones.
    pub(super) async fn remove_entries(
        &mut self,
        progresses: &BTreeSet<Uuid>,
        stories: &BTreeSet<Uuid>,
    ) -> Result<(), Error> {
        let ids: Vec<_> = progresses.iter().copied().collect();
        for some in ids.chunks(ROWS_A_STATEMENT) {
            let rows = self.progresses_with(some).await?;
            let of_user = progress::Column::UserId.eq(self.user.as_str());
            progress::Entity::delete_many()
                .filter(of_user)
                .filter(one_of(
                    self.tx.get_database_backend(),
                    progress::Column::Id,
                    some.iter().copied(),
                ))
                .exec(&self.tx)
                .await?;
            let mut tombstones = Vec::with_capacity(rows.len());
            for row in &rows {
                self.shrink(row.state.usage());
                tombstones.push(self.tombstone(
                    Kind::Progress,
                    row.id.0,
                    row.created_stamp,
                    row,
                )?);
            }
            self.insert_tombstones(tombstones).await?;
        }
        let ids: Vec<_> = stories.iter().copied().collect();
        for some in ids.chunks(ROWS_A_STATEMENT) {
            let rows = self.stories_with(some).await?;
            let of_user = story::Column::UserId.eq(self.user.as_str());
            story::Entity::delete_many()
                .filter(of_user)
                .filter(one_of(
                    self.tx.get_database_backend(),
                    story::Column::Id,
                    some.iter().copied(),
                ))
                .exec(&self.tx)
                .await?;
            let mut tombstones = Vec::with_capacity(rows.len());
            for (story, state) in rows {
                self.shrink(story.usage());
                self.shrink(Usage::links(state.tag_ids.len() + state.fandom_ids.len()));
                let (id, created) = (story.id.0, story.created_stamp);
                let row = RemovedStory {
                    story,
                    tag_ids: state.tag_ids,
                    fandom_ids: state.fandom_ids,
                };
                tombstones.push(self.tombstone(Kind::Story, id, created, &row)?);
            }
            self.insert_tombstones(tombstones).await?;
        }
        Ok(())
    }

    /// Returns the tombstone of a removed row, with its content, and counts the bytes that it keeps.
    pub(super) fn tombstone(
        &mut self,
        kind: Kind,
        id: Uuid,
        created: Version,
        row: &impl Serialize,
    ) -> Result<tombstone::ActiveModel, Error> {
        let held = serde_json::to_string(row).map_err(Error::fault)?;
        self.leave_history(held.len());
        Ok(tombstone::ActiveModel {
            user_id: Set(self.user.as_str().to_owned()),
            kind: Set(kind.name().to_owned()),
            id: Set(id),
            stamp: Set(self.stamp(kind).number()),
            removed_at: Set(millis(self.now)),
            held: Set(Some(held)),
            created_stamp: Set(created.number()),
        })
    }

    async fn insert_tombstones(&self, rows: Vec<tombstone::ActiveModel>) -> Result<(), Error> {
        if !rows.is_empty() {
            tombstone::Entity::insert_many(rows)
                .exec_without_returning(&self.tx)
                .await?;
        }
        Ok(())
    }
}
