//! What a resolver can reach: the caller's own library and nothing else.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
    runtime::{TokioSpawner, TokioTimer},
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use super::Limits;
use crate::{
    auth::Viewer,
    feed::Feed,
    library::{
        Error, Intent, Label, LabelId, LabelKind, Library, LibraryWriter, Progress, Story, StoryId,
        Written,
    },
    version::{Head, UserId},
};

/// How many keys one statement loads at the most. SQLite binds 32,766 values.
const BATCH: usize = 10_000;

/// The viewer of one operation, and their library as of its start.
pub(super) struct Caller {
    pub viewer: Viewer,
    /// The head before any resolver ran: a lower bound on what the answer shows.
    pub head: Head,
    pub library: Library,
    pub feed: Feed,
    pub limits: Arc<Limits>,
    /// The newest head that this operation has come to by itself.
    pub reached: Reached,
    pub rows: DataLoader<Rows>,
}

impl Caller {
    /// Changes the caller's library.
    pub async fn write<T, F>(&self, intent: Intent, change: F) -> Result<Written<T>, Error>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: for<'w> FnOnce(&'w mut LibraryWriter) -> BoxFuture<'w, Result<T, Error>>
            + Clone
            + Send
            + 'static,
    {
        let written = self
            .library
            .write(&self.viewer.user, intent, change)
            .await?;
        self.reached.raise(written.head);
        Ok(written)
    }

    /// The head as it is now, never a replica's.
    pub async fn present(&self) -> Result<Head, Error> {
        if self.library.has_replica() {
            return self.library.head(&self.viewer.user).await;
        }
        Ok(self.head)
    }

    /// The version that the answer is at least as new as.
    pub fn answered(&self) -> Head {
        self.reached.0.lock().unwrap_or(self.head)
    }
}

/// The newest head that an operation wrote, or that a stream has told.
#[derive(Clone, Default)]
pub(super) struct Reached(Arc<Mutex<Option<Head>>>);

impl Reached {
    pub fn raise(&self, head: Head) {
        let mut reached = self.0.lock();
        *reached = (*reached).max(Some(head));
    }
}

/// Reaches the [`Caller`] from a resolver.
pub(super) trait CallerExt {
    fn caller(&self) -> &Caller;
}

impl CallerExt for Context<'_> {
    fn caller(&self) -> &Caller {
        let caller: &Arc<Caller> = self.data_unchecked();
        caller
    }
}

/// Loads the rows that a list's elements refer to, all elements at once.
pub(super) struct Rows {
    library: Library,
    user: UserId,
}

impl Rows {
    /// A loader for one operation: a longer-lived one would go on answering with rows that have changed since.
    pub fn loader(library: Library, user: UserId) -> DataLoader<Self> {
        DataLoader::new(
            Self { library, user },
            TokioSpawner::current(),
            TokioTimer::default(),
        )
        .max_batch_size(BATCH)
    }
}

impl Loader<StoryId> for Rows {
    type Value = Story;
    type Error = Error;

    async fn load(&self, ids: &[StoryId]) -> Result<HashMap<StoryId, Story>, Error> {
        self.library.stories(&self.user, ids.iter().copied()).await
    }
}

/// Asks for the progress of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProgressOf(pub StoryId);

impl Loader<ProgressOf> for Rows {
    type Value = Progress;
    type Error = Error;

    async fn load(&self, keys: &[ProgressOf]) -> Result<HashMap<ProgressOf, Progress>, Error> {
        let found = self
            .library
            .progresses_of(&self.user, keys.iter().map(|key| key.0))
            .await?;
        Ok(found
            .into_iter()
            .map(|(story, progress)| (ProgressOf(story), progress))
            .collect())
    }
}

/// Asks for the labels of one kind on a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LabelsOf(pub LabelKind, pub StoryId);

impl Loader<LabelsOf> for Rows {
    type Value = Vec<Label>;
    type Error = Error;

    async fn load(&self, keys: &[LabelsOf]) -> Result<HashMap<LabelsOf, Vec<Label>>, Error> {
        let mut by_kind = HashMap::<LabelKind, BTreeSet<StoryId>>::new();
        for LabelsOf(kind, story) in keys {
            by_kind.entry(*kind).or_default().insert(*story);
        }
        let mut found = HashMap::new();
        for (kind, stories) in by_kind {
            let labels = self.library.labels_of(&self.user, kind, &stories).await?;
            found.extend(
                labels
                    .into_iter()
                    .map(|(story, labels)| (LabelsOf(kind, story), labels)),
            );
        }
        Ok(found)
    }
}

/// Asks how many stories carry a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StoriesWith(pub LabelKind, pub LabelId);

impl Loader<StoriesWith> for Rows {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[StoriesWith]) -> Result<HashMap<StoriesWith, i32>, Error> {
        let mut by_kind = HashMap::<LabelKind, Vec<LabelId>>::new();
        for StoriesWith(kind, label) in keys {
            by_kind.entry(*kind).or_default().push(*label);
        }
        let mut found = HashMap::new();
        for (kind, labels) in by_kind {
            let counts = self.library.story_counts(&self.user, kind, &labels).await?;
            found.extend(counts.into_iter().map(|(label, stories)| {
                let stories = i32::try_from(stories).unwrap_or(i32::MAX);
                (StoriesWith(kind, label), stories)
            }));
        }
        Ok(found)
    }
}
