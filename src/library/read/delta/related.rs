//! What a page contains besides the changed rows: the labels of stories, and the stories of progresses.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;

use super::{
    change::{Change, Delta},
    page::Related,
};
use crate::{
    library::{
        error::Error,
        model::{id::StoryId, label::LabelKind},
        read::rows::{labels_of, stories},
    },
    version::UserId,
};

/// Adds what is read besides the changed rows. Returns whether that took a statement.
pub(super) async fn add_related(
    db: &impl ConnectionTrait,
    user: &UserId,
    delta: &mut Delta,
    with: Related,
) -> Result<bool, Error> {
    let has_labels = with.labels && add_labels(db, user, &mut delta.changes).await?;
    let ids: Vec<_> = delta.changes.iter().filter_map(story_of_progress).collect();
    if !with.stories || ids.is_empty() {
        return Ok(has_labels);
    }
    delta.stories = stories(db, user, ids).await?;
    Ok(true)
}

fn story_of_progress(change: &Change) -> Option<StoryId> {
    match change {
        Change::Progress(progress) => Some(progress.story_id),
        _ => None,
    }
}

/// Adds the labels of the page's stories, if it has some.
async fn add_labels(
    db: &impl ConnectionTrait,
    user: &UserId,
    changes: &mut [Change],
) -> Result<bool, Error> {
    let id = |change: &Change| match change {
        Change::Story { story, .. } => Some(story.id),
        _ => None,
    };
    let stories: BTreeSet<_> = changes.iter().filter_map(id).collect();
    if stories.is_empty() {
        return Ok(false);
    }
    let mut all_tags = labels_of(db, user, LabelKind::Tag, Some(&stories)).await?;
    let mut all_fandoms = labels_of(db, user, LabelKind::Fandom, Some(&stories)).await?;
    for change in changes {
        if let Change::Story {
            story,
            tags,
            fandoms,
        } = change
        {
            *tags = all_tags.remove(&story.id).unwrap_or_default();
            *fandoms = all_fandoms.remove(&story.id).unwrap_or_default();
        }
    }
    Ok(true)
}
