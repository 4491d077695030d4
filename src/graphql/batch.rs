//! Batched reads for the elements of one list. The first element that needs rows reads those of all elements in one
//! statement.
//!
//! In the flow: the code that returns a list makes one [`Batch`] for it. Each element holds the batch and reads through
//! it.
//!
//! async-graphql's `DataLoader` (8.0.0-rc.5) batches over all lists of an operation. Each waiting element blocks the
//! others during its key lookup: 40,000 elements took 10 s of CPU.
//!
//! **Invariant:** the cost per element does not depend on the number of elements.
//! **Invariant:** a batch does not outlive its operation. A longer-lived batch would return stale rows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::OnceCell;

use super::context::Caller;
use crate::library::{Error, Label, LabelId, LabelKind, Progress, Story, StoryId};

/// Result of one read. Errors are cached too: without that, each of the other elements would repeat the failing read.
type Once<T> = OnceCell<Result<T, Error>>;

/// The elements of a list and the rows that were read for them.
#[derive(Default)]
pub(super) struct Batch {
    stories: BTreeSet<StoryId>,
    tags: Labels,
    fandoms: Labels,
    rows: Once<HashMap<StoryId, Arc<Story>>>,
    progresses: Once<HashMap<StoryId, Progress>>,
}

/// Cached reads about the labels of one kind.
#[derive(Default)]
struct Labels {
    /// Labels that are elements of the list.
    listed: BTreeSet<LabelId>,
    of_stories: Once<HashMap<StoryId, Vec<Arc<Label>>>>,
    story_counts: Once<HashMap<LabelId, i64>>,
}

impl Batch {
    /// Returns the batch of a list of these stories, or of rows that refer to them.
    pub fn of_stories(stories: impl IntoIterator<Item = StoryId>) -> Self {
        Self {
            stories: stories.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Adds labels that are elements of the list.
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

    /// Returns a story of the batch. `None` if it was deleted.
    pub async fn story(&self, caller: &Caller, id: StoryId) -> Result<Option<Arc<Story>>, Error> {
        let read = || async {
            let stories = self.stories.iter().copied();
            let found = caller.library.stories(&caller.viewer.user, stories).await?;
            let shared = found.into_iter().map(|(id, story)| (id, Arc::new(story)));
            Ok(shared.collect())
        };
        Ok(once(&self.rows, read).await?.get(&id).cloned())
    }

    /// Returns the progress of a story of the batch.
    pub async fn progress(&self, caller: &Caller, of: StoryId) -> Result<Option<Progress>, Error> {
        let read = || async {
            let (library, stories) = (&caller.library, self.stories.iter().copied());
            library.progresses_of(&caller.viewer.user, stories).await
        };
        Ok(once(&self.progresses, read).await?.get(&of).cloned())
    }

    /// Returns the labels of one kind on a story of the batch, ordered by name.
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
        let labels = once(&self.labels(kind).of_stories, read).await?;
        Ok(labels.get(&story).cloned().unwrap_or_default())
    }

    /// Returns the number of stories with a label. [`Batch::labels_of`] returned the label, or it is in the list.
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
        let counts = once(&labels.story_counts, read).await?;
        let count = counts.get(&label).copied();
        Ok(i32::try_from(count.unwrap_or_default()).unwrap_or(i32::MAX))
    }
}

/// Returns the rows that were read, or reads them.
async fn once<T, F: Future<Output = Result<T, Error>>>(
    rows: &Once<T>,
    read: impl FnOnce() -> F,
) -> Result<&T, Error> {
    // Boxed, because each field of each element has a future, with room for the largest one that it may await.
    let rows = rows.get_or_init(|| Box::pin(read())).await;
    rows.as_ref().map_err(Error::clone)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Maximum size of a future that each element of a list may have, in bytes.
    const SMALL: usize = 512;

    fn future_size<F: Future>(_: fn(&'static Batch, &'static Caller) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_reads_of_an_element_are_small_futures() {
        let sizes = [
            future_size(|batch, caller| batch.story(caller, StoryId(Uuid::nil()))),
            future_size(|batch, caller| batch.progress(caller, StoryId(Uuid::nil()))),
            future_size(|batch, caller| {
                batch.labels_of(caller, LabelKind::Tag, StoryId(Uuid::nil()))
            }),
            future_size(|batch, caller| {
                batch.story_count(caller, LabelKind::Tag, LabelId(Uuid::nil()))
            }),
        ];
        assert!(sizes.iter().all(|size| *size <= SMALL), "{sizes:?}");
    }
}
