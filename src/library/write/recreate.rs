//! Creates many rows again under their ids, for [`super::restore`]. The number of statements hardly depends on the number of
//! rows.
//!
//! **Invariant:** a created row keeps its id and its time of creation.

use std::collections::HashSet;

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _,
    QueryFilter as _,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    history::ALL_FIELDS,
    shared_address::columns,
    writer::{LibraryWriter, ROWS_A_STATEMENT},
};
use crate::library::{
    database::any_of::one_of,
    entity::{progress, story, tombstone, undone_removal},
    error::{Error, Refusal},
    model::{
        kind::Kind,
        label::{Label, LabelKind},
        progress::Progress,
        story::Story,
    },
    read::past::past_row::{PastLabel, PastProgress, PastStory},
};

impl LibraryWriter {
    /// Creates stories again, with their labels. Those in `shared` have an address that another story has too.
    ///
    /// # Errors
    /// Refused when a url is taken.
    pub(super) async fn create_stories_again(
        &mut self,
        past: Vec<PastStory>,
        shared: &HashSet<Uuid>,
    ) -> Result<(), Error> {
        let address = |past: &PastStory| {
            let id = past.id.0;
            columns(id, &past.state.content.url, shared.contains(&id))
        };
        for some in past.chunks(ROWS_A_STATEMENT) {
            let urls: Vec<_> = some.iter().map(|past| address(past).0).collect();
            if let Some((story, _)) = self.entries_at(&urls).await?.into_values().next() {
                return Err(Refusal::already_exists("url", story.0));
            }
            self.unbury_all(Kind::Story, some.iter().map(|past| past.id.0))
                .await?;
            let mut rows = Vec::with_capacity(some.len());
            let mut links = [Vec::new(), Vec::new()];
            for past in some {
                let stamp = self.stamp(Kind::Story);
                let story = Story {
                    id: past.id,
                    stamp,
                    created_stamp: stamp,
                    created_at: past.created_at,
                    updated_at: self.now,
                    content: past.state.content.clone(),
                };
                self.grow(story.usage());
                let mut row = story::row(&self.user, &story);
                let (url, typed) = address(past);
                (row.url, row.url_typed) = (Set(url), Set(typed));
                rows.push(row);
                for (kind, links) in [LabelKind::Tag, LabelKind::Fandom]
                    .into_iter()
                    .zip(&mut links)
                {
                    links.extend(past.state.label_ids(kind).iter().map(|id| (past.id, *id)));
                }
            }
            story::Entity::insert_many(rows)
                .exec_without_returning(&self.tx)
                .await?;
            for (kind, links) in [LabelKind::Tag, LabelKind::Fandom].into_iter().zip(links) {
                self.insert_links(kind, &links).await?;
            }
        }
        Ok(())
    }

    /// Creates progresses again. Their stories exist.
    ///
    /// # Errors
    /// Refused when a story has another progress.
    pub(super) async fn create_progresses_again(
        &mut self,
        past: Vec<PastProgress>,
    ) -> Result<(), Error> {
        for some in past.chunks(ROWS_A_STATEMENT) {
            let stories: Vec<_> = some.iter().map(|past| past.story_id.0).collect();
            let other = progress::find()
                .filter(progress::Column::UserId.eq(self.user.as_str()))
                .filter(one_of(
                    self.tx.get_database_backend(),
                    progress::Column::StoryId,
                    stories.iter().copied(),
                ))
                .one(&self.tx)
                .await?;
            if let Some(other) = other {
                return Err(Refusal::already_exists("progressId", other.id));
            }
            self.unbury_all(Kind::Progress, some.iter().map(|past| past.id.0))
                .await?;
            let mut rows = Vec::with_capacity(some.len());
            for past in some {
                let stamp = self.stamp(Kind::Progress);
                let progress = Progress {
                    id: past.id,
                    story_id: past.story_id,
                    stamp,
                    created_stamp: stamp,
                    created_at: past.created_at,
                    updated_at: self.now,
                    state: past.state.clone(),
                };
                self.grow(progress.state.usage());
                rows.push(progress::row(&self.user, &progress));
            }
            progress::Entity::insert_many(rows)
                .exec_without_returning(&self.tx)
                .await?;
        }
        Ok(())
    }

    /// Creates labels again. The stories that carried them are changed separately.
    ///
    /// # Errors
    /// Refused when a name is taken.
    pub(super) async fn create_labels_again(
        &mut self,
        kind: LabelKind,
        past: Vec<PastLabel>,
    ) -> Result<(), Error> {
        self.unbury_all(kind.into(), past.iter().map(|past| past.id.0))
            .await?;
        let mut labels = Vec::with_capacity(past.len());
        for past in past {
            if let Some(existing) = self.find_label_named(kind, &past.name).await? {
                return Err(Refusal::already_exists("name", existing));
            }
            let label = self.new_label(kind, past.id, past.name);
            labels.push(Label {
                created_at: past.created_at,
                ..label
            });
        }
        self.insert_labels(kind, &labels).await
    }

    /// Sets the tombstones of rows aside that are created again.
    async fn unbury_all(
        &mut self,
        kind: Kind,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<(), Error> {
        let ids: Vec<_> = ids.collect();
        for some in ids.chunks(ROWS_A_STATEMENT) {
            let of_kind = Condition::all()
                .add(tombstone::Column::UserId.eq(self.user.as_str()))
                .add(tombstone::Column::Kind.eq(kind.name()))
                .add(one_of(
                    self.tx.get_database_backend(),
                    tombstone::Column::Id,
                    some.iter().copied(),
                ));
            let buried = tombstone::Entity::find()
                .filter(of_kind.clone())
                .all(&self.tx)
                .await?;
            if buried.is_empty() {
                continue;
            }
            tombstone::Entity::delete_many()
                .filter(of_kind)
                .exec(&self.tx)
                .await?;
            let remade = buried
                .iter()
                .map(|row| (row.id, ALL_FIELDS.to_owned(), Value::Null))
                .collect();
            let rows = buried.into_iter().map(undone_removal::ActiveModel::from);
            undone_removal::Entity::insert_many(rows)
                .exec_without_returning(&self.tx)
                .await?;
            self.record_changes(kind, remade).await?;
        }
        Ok(())
    }
}
