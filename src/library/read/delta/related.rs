//! What a page contains besides the changed rows: the labels of stories, and the stories of progresses.

use std::collections::BTreeSet;

use sea_orm::ConnectionTrait;

use super::{
    change::{Change, Delta},
    page::Related,
    unchanged::{is_unchanged, still_is},
};
use crate::{
    library::{
        entity::user,
        error::Error,
        model::{id::StoryId, label::LabelKind},
        read::rows::{labels_of, stories},
    },
    version::UserId,
};

/// Adds what is read besides the changed rows. Outside of a transaction, returns whether the user's row is `unless_changed`
/// still.
pub(super) async fn add_related(
    db: &impl ConnectionTrait,
    user: &UserId,
    delta: &mut Delta,
    with: Related,
    unless_changed: Option<&user::Model>,
) -> Result<bool, Error> {
    let has_labels = with.labels && add_labels(db, user, &mut delta.changes).await?;
    let ids: BTreeSet<_> = delta.changes.iter().filter_map(story_of_progress).collect();
    if with.stories && !ids.is_empty() {
        delta.stories = stories(db, user, ids.clone(), unless_changed.map(still_is)).await?;
        if unless_changed.is_some() && delta.stories.len() < ids.len() {
            return Ok(false);
        }
    }
    match unless_changed {
        // A story may have no labels, so only the row tells.
        Some(row) if has_labels => is_unchanged(db, row).await,
        _ => Ok(true),
    }
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
