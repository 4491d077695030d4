//! What the elements of one list refer to, read for all of them in one statement when the first of them asks.
//!
//! In the flow: whatever makes a list makes a [`Batch`] of it, and each element holds the batch to ask.
//!
//! async-graphql's `DataLoader` (8.0.0-rc.5) does the same for all lists of an operation, but each element that asks
//! holds up the others while it looks whether its key is there, so that 40,000 of them took 10 s of CPU.
//!
//! **Invariant:** the cost of an element does not grow with how many there are.
//! **Invariant:** a batch lives as long as its operation. A longer-lived one would answer with rows that have changed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::OnceCell;

use super::context::Caller;
use crate::library::{Error, Label, LabelId, LabelKind, Progress, Story, StoryId};

/// What is read once. An error is kept as well: the other elements would meet it too, one after the other.
type Once<T> = OnceCell<Result<T, Error>>;

/// The elements of a list, and what has been read for all of them.
#[derive(Default)]
pub(super) struct Batch {
    stories: BTreeSet<StoryId>,
    tags: Labels,
    fandoms: Labels,
    rows: Once<HashMap<StoryId, Arc<Story>>>,
    progresses: Once<HashMap<StoryId, Progress>>,
}

/// What is known of the labels of one kind.
#[derive(Default)]
struct Labels {
    /// Those in the list itself.
    listed: BTreeSet<LabelId>,
    of_stories: Once<HashMap<StoryId, Vec<Arc<Label>>>>,
    story_counts: Once<HashMap<LabelId, i64>>,
}

impl Batch {
    /// A list of, or about, these stories.
    pub fn of_stories(stories: impl IntoIterator<Item = StoryId>) -> Self {
        Self {
            stories: stories.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same with these labels in it.
    pub fn with_labels<'l>(
        mut self,
        kind: LabelKind,
        labels: impl IntoIterator<Item = &'l Label>,
    ) -> Self {
        let listed = match kind {
            LabelKind::Tag => &mut self.tags.listed,
            LabelKind::Fandom => &mut self.fandoms.listed,
        };
        listed.extend(labels.into_iter().map(|label| label.id));
        self
    }

    fn labels(&self, kind: LabelKind) -> &Labels {
        match kind {
            LabelKind::Tag => &self.tags,
            LabelKind::Fandom => &self.fandoms,
        }
    }

    /// One of the stories; none when it is gone.
    pub async fn story(&self, caller: &Caller, id: StoryId) -> Result<Option<Arc<Story>>, Error> {
        let read = || async {
            let stories = self.stories.iter().copied();
            let found = caller.library.stories(&caller.viewer.user, stories).await?;
            let shared = found.into_iter().map(|(id, story)| (id, Arc::new(story)));
            Ok(shared.collect())
        };
        let rows = self.rows.get_or_init(read).await.as_ref();
        Ok(rows.map_err(Error::clone)?.get(&id).cloned())
    }

    /// The progress of one of the stories.
    pub async fn progress(&self, caller: &Caller, of: StoryId) -> Result<Option<Progress>, Error> {
        let read = || async {
            let (library, stories) = (&caller.library, self.stories.iter().copied());
            library.progresses_of(&caller.viewer.user, stories).await
        };
        let progresses = self.progresses.get_or_init(read).await.as_ref();
        Ok(progresses.map_err(Error::clone)?.get(&of).cloned())
    }

    /// The labels of one kind on one of the stories, by name.
    pub async fn labels_of(
        &self,
        caller: &Caller,
        kind: LabelKind,
        story: StoryId,
    ) -> Result<Vec<Arc<Label>>, Error> {
        let read = || async {
            let (library, user) = (&caller.library, &caller.viewer.user);
            let found = library.labels_of(user, kind, &self.stories).await?;
            let shared = |labels: Vec<Label>| labels.into_iter().map(Arc::new).collect();
            let found = found.into_iter().map(|(id, labels)| (id, shared(labels)));
            Ok(found.collect())
        };
        let labels = self.labels(kind).of_stories.get_or_init(read).await;
        let labels = labels.as_ref().map_err(Error::clone)?;
        Ok(labels.get(&story).cloned().unwrap_or_default())
    }

    /// How many stories carry a label that is in the list, or that [`Batch::labels_of`] returned.
    pub async fn story_count(
        &self,
        caller: &Caller,
        kind: LabelKind,
        label: LabelId,
    ) -> Result<i32, Error> {
        let labels = self.labels(kind);
        let read = || async {
            let mut ids = labels.listed.clone();
            if let Some(Ok(of_stories)) = labels.of_stories.get() {
                ids.extend(of_stories.values().flatten().map(|label| label.id));
            }
            let ids: Vec<_> = ids.into_iter().collect();
            let (library, user) = (&caller.library, &caller.viewer.user);
            library.story_counts(user, kind, &ids).await
        };
        let counts = labels.story_counts.get_or_init(read).await.as_ref();
        let count = counts.map_err(Error::clone)?.get(&label).copied();
        Ok(i32::try_from(count.unwrap_or_default()).unwrap_or(i32::MAX))
    }
}
