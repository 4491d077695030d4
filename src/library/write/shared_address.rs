//! The addresses of stories that are brought back, for [`super::restore`].
//!
//! Addresses may move between stories, so a story that leaves its address has a temporary one first.
//!
//! Stories of an older app may share an address ([`story::addressed`]). The column `url` of all but one of them is then not
//! in normalised form, which the history does not record. A story that is brought back has such a column again if another
//! story had the address at the same version: the normalised form with its id as the fragment, because the address as
//! typed may be the normalised form.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    EntityTrait as _,
};
use uuid::Uuid;

use super::{
    reversal_plan::KindPlan,
    writer::{LibraryWriter, ROWS_A_STATEMENT},
};
use crate::library::{
    entity::story,
    error::Error,
    model::{
        patch::Fields,
        story::{Story, StoryState},
        story_url,
    },
    read::past::{as_of::AsOf, past_row::PastStory},
};

/// Begins an address that is replaced before the transaction ends.
const TEMPORARY: &str = "library-sync:";

/// Stories with their states, by id.
pub(super) type StoriesBefore = HashMap<Uuid, (Story, StoryState)>;

/// The columns of the address of story `id`: as compared and, if that differs, as typed.
pub(super) fn columns(id: Uuid, url: &str, is_shared: bool) -> (String, Option<String>) {
    let key = story_url::key(url);
    if is_shared {
        return (format!("{key}#{id}"), Some(url.to_owned()));
    }
    let typed = (key != url).then(|| url.to_owned());
    (key, typed)
}

impl LibraryWriter {
    /// Returns the stories of a plan whose address another story keeps or gets too, as both had it at `before`.
    pub(super) async fn shared_addresses(
        &self,
        plan: &KindPlan<PastStory>,
        before: &AsOf<'_>,
    ) -> Result<HashSet<Uuid>, Error> {
        let created = plan.create.iter();
        let created = created.map(|past| (past.id.0, past.state.content.url.as_str()));
        let moved: Vec<_> = plan.set.iter().filter_map(new_address).collect();
        let mut leaving = plan.remove.clone();
        leaving.extend(moved.iter().map(|(id, _)| id));
        let mut wanted = HashMap::<_, BTreeSet<_>>::new();
        for (id, url) in created.chain(moved) {
            let key = story_url::key(url);
            // The story whose address is in normalised form comes first, and gets that.
            let place = (url != key, id);
            wanted.entry(key).or_default().insert(place);
        }
        let keys: Vec<_> = wanted.keys().cloned().collect();
        let mut holders = self.entries_at(&keys).await?;
        holders.retain(|_, (story, _)| !leaving.contains(&story.0));
        let ids: Vec<_> = holders.values().map(|(story, _)| story.0).collect();
        let held = match ids.len() {
            0 => HashMap::new(),
            _ => before.stories(&ids).await?,
        };
        let mut shared = HashSet::new();
        for (key, stories) in wanted {
            let holder = holders.get(&key).and_then(|(story, _)| held.get(&story.0));
            let is_held = holder.is_some_and(|past| story_url::key(&past.state.content.url) == key);
            let others = stories.into_iter().skip(usize::from(!is_held));
            shared.extend(others.map(|(_, id)| id));
        }
        Ok(shared)
    }

    /// Gives the stories that get another address a temporary one. Returns them as they were before.
    pub(super) async fn vacate_addresses(
        &mut self,
        set: &[(Uuid, Fields)],
    ) -> Result<StoriesBefore, Error> {
        let mut before = HashMap::with_capacity(set.len());
        for some in set.chunks(ROWS_A_STATEMENT) {
            let ids: Vec<_> = some.iter().map(|(id, _)| *id).collect();
            let stories = self.stories_with(&ids).await?.into_iter();
            before.extend(stories.map(|(story, state)| (story.id.0, (story, state))));
        }
        for (id, _) in set.iter().filter_map(new_address) {
            let row = story::ActiveModel {
                user_id: Unchanged(self.user.as_str().to_owned()),
                id: Unchanged(id),
                url: Set(format!("{TEMPORARY}{id}")),
                ..Default::default()
            };
            story::Entity::update(row).exec(&self.tx).await?;
        }
        Ok(before)
    }
}

fn new_address((id, fields): &(Uuid, Fields)) -> Option<(Uuid, &str)> {
    Some((*id, fields.get("url")?.as_str()?))
}
