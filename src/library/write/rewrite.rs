//! Sets fields of many rows at once, for [`super::restore`].
//!
//! Names may be swapped between labels, so all labels that get another one have a temporary one first. The same holds for
//! addresses ([`super::shared_address`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    shared_address::{StoriesBefore, columns},
    writer::{LibraryWriter, ROWS_A_STATEMENT},
};
use crate::library::{
    database::any_of::one_of,
    entity::{progress, story},
    error::{Error, Refusal},
    model::{
        id::LabelId,
        kind::Kind,
        label::{LabelKind, LabelName},
        limits::Usage,
        patch::{self, Fields},
        progress::Progress,
        story::{Story, StoryState},
    },
    read::past::lost_labels::links,
};

/// Begins a name that is replaced before the transaction ends.
const TEMPORARY: &str = "library-sync:";

impl LibraryWriter {
    /// Renames labels. Names may be swapped, so all labels have a temporary name first.
    ///
    /// # Errors
    /// Refused when a name is taken.
    pub(super) async fn rename_labels(
        &mut self,
        kind: LabelKind,
        names: Vec<(Uuid, LabelName)>,
    ) -> Result<(), Error> {
        let mut rows = Vec::with_capacity(names.len());
        for (id, name) in names {
            let Some(row) = self.existing(kind, &[LabelId(id)].into()).await?.pop() else {
                continue;
            };
            let mut temporary = row.clone();
            temporary.name = LabelName::stored(format!("{TEMPORARY}{id}"));
            self.store_label(kind, &temporary).await?;
            rows.push((row, name));
        }
        for (mut row, name) in rows {
            if let Some(existing) = self.find_label_named(kind, &name).await? {
                return Err(Refusal::already_exists("name", existing));
            }
            let was = Value::from(row.name.as_str());
            self.record_changes(kind.into(), vec![(row.id.0, "name".to_owned(), was)])
                .await?;
            self.shrink(Usage::texts([row.name.as_str()]));
            self.grow(Usage::texts([name.as_str()]));
            row.name = name;
            row.stamp = self.stamp(kind.into());
            row.updated_at = self.now;
            self.store_label(kind, &row).await?;
        }
        Ok(())
    }

    /// Sets fields of stories, their labels among them. Those that get another address have a temporary one. The address of
    /// those in `shared` is another story's too.
    ///
    /// # Errors
    /// Refused when a url is taken.
    pub(super) async fn set_stories(
        &mut self,
        set: Vec<(Uuid, Fields)>,
        mut before: StoriesBefore,
        shared: &HashSet<Uuid>,
    ) -> Result<(), Error> {
        for some in set.chunks(ROWS_A_STATEMENT) {
            self.set_some_stories(some, &mut before, shared).await?;
        }
        Ok(())
    }

    async fn set_some_stories(
        &mut self,
        set: &[(Uuid, Fields)],
        stories: &mut StoriesBefore,
        shared: &HashSet<Uuid>,
    ) -> Result<(), Error> {
        let (mut changes, mut added) = (Vec::new(), [Vec::new(), Vec::new()]);
        let mut rows = Vec::with_capacity(set.len());
        for (id, fields) in set {
            let Some((mut story, before)) = stories.remove(id) else {
                continue;
            };
            let after: StoryState = patch::apply(&before, fields)?;
            changes.extend(changed(*id, &before, fields)?);
            for (kind, added) in [LabelKind::Tag, LabelKind::Fandom]
                .into_iter()
                .zip(&mut added)
            {
                let (was, now) = (before.label_ids(kind), after.label_ids(kind));
                self.unlink(kind, story.id, &(was - now)).await?;
                added.extend((now - was).into_iter().map(|label| (story.id, label)));
            }
            self.shrink(before.content.usage());
            self.grow(after.content.usage());
            let address = fields
                .contains_key("url")
                .then(|| columns(*id, &after.content.url, shared.contains(id)));
            if let Some((url, _)) = &address {
                self.refuse_address_of_another(url, Some(story.id)).await?;
            }
            story.content = after.content;
            story.stamp = self.stamp(Kind::Story);
            story.updated_at = self.now;
            rows.push((address, story));
        }
        self.record_changes(Kind::Story, changes).await?;
        for (kind, added) in [LabelKind::Tag, LabelKind::Fandom].into_iter().zip(added) {
            self.insert_links(kind, &added).await?;
        }
        for (address, story) in rows {
            let mut row = story::row(&self.user, &story);
            // Stories older than the uniqueness rule may share an address, so it is written only if it changes.
            (row.url, row.url_typed) = match address {
                Some((url, typed)) => (Set(url), Set(typed)),
                None => (NotSet, NotSet),
            };
            story::Entity::update(row).exec(&self.tx).await?;
        }
        Ok(())
    }

    /// Sets fields of progresses.
    pub(super) async fn set_progresses(&mut self, set: Vec<(Uuid, Fields)>) -> Result<(), Error> {
        for some in set.chunks(ROWS_A_STATEMENT) {
            let ids: Vec<_> = some.iter().map(|(id, _)| *id).collect();
            let rows = self.progresses_with(&ids).await?;
            let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (row.id.0, row)).collect();
            let mut changes = Vec::new();
            let mut changed_rows = Vec::with_capacity(some.len());
            for (id, fields) in some {
                let Some(mut row) = rows.remove(id) else {
                    continue;
                };
                changes.extend(changed(*id, &row.state, fields)?);
                self.shrink(row.state.usage());
                row.state = patch::apply(&row.state, fields)?;
                self.grow(row.state.usage());
                row.stamp = self.stamp(Kind::Progress);
                row.updated_at = self.now;
                changed_rows.push(progress::row(&self.user, &row));
            }
            self.record_changes(Kind::Progress, changes).await?;
            for row in changed_rows {
                progress::Entity::update(row).exec(&self.tx).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn progresses_with(&self, ids: &[Uuid]) -> Result<Vec<Progress>, Error> {
        let rows = progress::find()
            .filter(progress::Column::UserId.eq(self.user.as_str()))
            .filter(one_of(
                self.tx.get_database_backend(),
                progress::Column::Id,
                ids.iter().copied(),
            ))
            .all(&self.tx)
            .await?;
        rows.into_iter()
            .map(|row| Ok(Progress::try_from(row)?))
            .collect()
    }

    /// Returns stories with their states.
    pub(super) async fn stories_with(
        &self,
        ids: &[Uuid],
    ) -> Result<Vec<(Story, StoryState)>, Error> {
        let rows = story::find()
            .filter(story::Column::UserId.eq(self.user.as_str()))
            .filter(one_of(
                self.tx.get_database_backend(),
                story::Column::Id,
                ids.iter().copied(),
            ))
            .all(&self.tx)
            .await?;
        let mut labels = BTreeMap::new();
        for kind in [LabelKind::Tag, LabelKind::Fandom] {
            let links = links(&self.tx, &self.user, kind, ids);
            labels.insert(kind, links.await?);
        }
        let mut of = |kind, id| -> BTreeSet<LabelId> {
            let of_kind = labels
                .get_mut(&kind)
                .and_then(|links: &mut HashMap<Uuid, BTreeSet<Uuid>>| links.remove(&id));
            of_kind
                .unwrap_or_default()
                .into_iter()
                .map(LabelId)
                .collect()
        };
        rows.into_iter()
            .map(|row| {
                let story = Story::try_from(row)?;
                let state = StoryState {
                    content: story.content.clone(),
                    tag_ids: of(LabelKind::Tag, story.id.0),
                    fandom_ids: of(LabelKind::Fandom, story.id.0),
                };
                Ok((story, state))
            })
            .collect()
    }
}

/// Returns the changes of the fields, with their values before.
fn changed(
    id: Uuid,
    before: &impl Serialize,
    set: &Fields,
) -> Result<Vec<(Uuid, String, Value)>, Error> {
    let mut before = patch::fields(before)?;
    let changes = set.iter().filter_map(|(field, value)| {
        let was = before.remove(field)?;
        (was != *value).then(|| (id, field.clone(), was))
    });
    Ok(changes.collect())
}
