//! Copies the present state of entries of another program, as one ordinary write: only differences are written.
//!
//! In the flow: the follower of a live adoption calls [`LibraryWriter::mirror`]. Rows may break the rules for new values,
//! because they are copied as they are, and the limits of a library do not apply.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, EntityTrait as _, Statement};
use uuid::Uuid;

use super::{adopted::AdoptedEntry, mirror_guard, writer::LibraryWriter};
use crate::library::{
    entity::{
        label::names,
        progress,
        story::{self, Keys},
    },
    error::Error,
    model::{
        id::{LabelId, StoryId},
        kind::Kind,
        label::{Label, LabelKind},
        progress::Progress,
        story::{Story, StoryContent, StoryState},
    },
};

/// The present state of a story and a user's progress on it.
#[derive(Debug, Clone)]
pub struct MirroredEntry {
    /// The story's id.
    pub story: Uuid,
    /// The story and the progress. `None` if the user no longer has a progress on it.
    pub entry: Option<AdoptedEntry>,
    /// Its tags and its fandoms.
    pub labels: [Vec<Label>; 2],
}

impl LibraryWriter {
    /// Makes the library equal to `entries`. `names` has the present name of every tag and of every fandom that an entry
    /// carries, that was renamed, or whose copy holds the name of another.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mirror(
        &mut self,
        entries: Vec<MirroredEntry>,
        names: [Vec<Label>; 2],
    ) -> Result<(), Error> {
        self.is_mirror = true;
        mirror_guard::allow(&self.tx, true).await?;
        let [tags, fandoms] = names;
        let tags = self.mirror_labels(LabelKind::Tag, tags).await?;
        let fandoms = self.mirror_labels(LabelKind::Fandom, fandoms).await?;
        let mut dropped = [BTreeSet::new(), BTreeSet::new()];
        for mirrored in entries {
            let ids = [(&tags, 0), (&fandoms, 1)].map(|(canonical, at)| {
                let of = |label: &Label| canonical.get(&label.id).copied().unwrap_or(label.id);
                mirrored.labels[at].iter().map(of).collect::<BTreeSet<_>>()
            });
            let before = self.all_linked(StoryId(mirrored.story)).await?;
            for (dropped, (before, after)) in dropped.iter_mut().zip(before.iter().zip(&ids)) {
                let is_kept = |id: &&LabelId| mirrored.entry.is_some() && after.contains(id);
                dropped.extend(before.iter().filter(|id| !is_kept(id)));
            }
            match mirrored.entry {
                Some(entry) => self.mirror_entry(entry, before, ids).await?,
                None => self.mirror_absence(StoryId(mirrored.story)).await?,
            }
        }
        let [tags, fandoms] = dropped;
        self.delete_unused(LabelKind::Tag, tags).await?;
        self.delete_unused(LabelKind::Fandom, fandoms).await
    }

    /// Removes an entry, if the library has it.
    async fn mirror_absence(&mut self, story: StoryId) -> Result<(), Error> {
        if let Some(progress) = self.find_progress_of(story).await? {
            self.delete_progress(progress.id, None).await?;
        }
        Ok(())
    }

    /// Inserts or changes an entry.
    async fn mirror_entry(
        &mut self,
        entry: AdoptedEntry,
        [tag_ids, fandom_ids]: [BTreeSet<LabelId>; 2],
        [tags, fandoms]: [BTreeSet<LabelId>; 2],
    ) -> Result<(), Error> {
        let id = entry.story.id;
        let stored = self.find_story(id).await?;
        let mut content = entry.story.content;
        let address = self
            .address(&mut content, stored.as_ref(), &entry.suffix)
            .await?;
        if let Some(story) = stored {
            let before = StoryState {
                content: story.content.clone(),
                tag_ids,
                fandom_ids,
            };
            let after = StoryState {
                content,
                tag_ids: tags,
                fandom_ids: fandoms,
            };
            if after != before {
                self.store_story(story, &before, after, address).await?;
            }
        } else {
            self.insert_story(Some(id), content, address).await?;
            self.link(LabelKind::Tag, id, &tags).await?;
            self.link(LabelKind::Fandom, id, &fandoms).await?;
        }
        self.mirror_progress(entry.progress).await
    }

    async fn mirror_progress(&mut self, wanted: Progress) -> Result<(), Error> {
        let stored = self.find_progress_of(wanted.story_id).await?;
        if let Some(stored) = &stored
            && stored.id == wanted.id
        {
            if stored.state != wanted.state {
                self.store_progress(stored.clone(), wanted.state).await?;
            }
            return Ok(());
        }
        if let Some(stored) = stored {
            // The older app has replaced the progress.
            progress::Entity::delete_by_id((self.user.as_str().to_owned(), stored.id.0))
                .exec(&self.tx)
                .await?;
            self.shrink(stored.state.usage());
            self.bury(Kind::Progress, stored.id.0, stored.created_stamp, &stored)
                .await?;
        }
        self.insert_progress(Some(wanted.id), wanted.story_id, wanted.state)
            .await?;
        Ok(())
    }

    /// Returns the columns of an address that another story has, and adds the fragment to `content`. `None` if the address
    /// is unique, or if it is the stored one.
    async fn address(
        &self,
        content: &mut StoryContent,
        stored: Option<&Story>,
        suffix: &str,
    ) -> Result<Option<(String, Option<String>)>, Error> {
        if let Some(stored) = stored
            && is_address_of(&stored.content.url, &content.url, suffix)
        {
            content.url.clone_from(&stored.content.url);
            return Ok(None);
        }
        let id = stored.map(|story| story.id);
        match self.refuse_url_of_another(&content.url, id).await {
            Ok(()) => Ok(None),
            Err(Error::Refused(_)) => {
                let fragment = format!("#{suffix}");
                let key = Keys::of(content).url;
                let columns = story::addressed(&key, &content.url, &fragment);
                content.url.push_str(&fragment);
                Ok(Some(columns))
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes labels that no story carries any longer.
    async fn delete_unused(
        &mut self,
        kind: LabelKind,
        ids: BTreeSet<LabelId>,
    ) -> Result<(), Error> {
        let names = names(kind);
        let backend = self.tx.get_database_backend();
        let sql = format!(
            "SELECT 1 AS used FROM {} WHERE user_id = $1 AND {} = $2 LIMIT 1",
            names.link_table.0, names.link_column.0
        );
        for id in ids {
            let values = [self.user.as_str().into(), id.0.into()];
            let select = Statement::from_sql_and_values(backend, &sql, values);
            if self.tx.query_one_raw(select).await?.is_none()
                && !self.existing(kind, &[id].into()).await?.is_empty()
            {
                self.delete_label(kind, id).await?;
            }
        }
        Ok(())
    }
}

/// Returns whether a stored address is a copy of `older`: as it is, or with the fragment that tells it from another story's.
pub fn is_address_of(stored: &str, older: &str, suffix: &str) -> bool {
    let rest = stored
        .strip_prefix(older)
        .map(|rest| rest.strip_prefix('#'));
    match rest {
        Some(Some(fragment)) => {
            let number = fragment
                .strip_prefix(suffix)
                .map(|rest| rest.trim_start_matches('-'));
            number.is_some_and(|number| number.chars().all(|digit| digit.is_ascii_digit()))
        }
        Some(None) => stored == older,
        None => false,
    }
}
