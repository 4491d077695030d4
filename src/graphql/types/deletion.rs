//! Payloads of deletions: the deleted ids, and the rows that changed with them.

use std::{collections::BTreeSet, sync::Arc};

use async_graphql::{ComplexObject, Context, ID, SimpleObject};

use super::{
    Fandom, Story, Tag,
    list::List,
    page::page_size,
    payload::{After, Conflict, Refusal},
};
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{DeletedEntry, Error, LabelId, LabelKind, Written},
    version::Head,
};

/// Number of stories in `changedStories` where `first` is absent or null.
const STORIES: i32 = 20;

/// Result of `deleteProgress`.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(in crate::graphql) struct DeleteProgressPayload {
    #[graphql(flatten)]
    after: After,
    /// UUID of the deleted progress. Null means that the mutation was refused.
    deleted_progress_id: Option<ID>,
    /// UUID of the story that was deleted with the progress. Null means that the mutation was refused.
    deleted_story_id: Option<ID>,
    /// Fields that other devices changed after `base`. Null means that there are none.
    conflict: Option<Conflict>,
    /// Reason why nothing was changed. Null means that the mutation was made.
    refusal: Option<Refusal>,
    #[graphql(skip)]
    labels: [BTreeSet<LabelId>; 2],
}

impl From<Written<DeletedEntry>> for DeleteProgressPayload {
    fn from(written: Written<DeletedEntry>) -> Self {
        let after = After::from(&written);
        let (deleted, conflict, refusal) = match written.outcome {
            Ok(deleted) => (Some(deleted), None, None),
            Err(mut refusal) => {
                let conflict = Conflict::of_refusal(&mut refusal, "status");
                (None, conflict, Some(refusal.into()))
            }
        };
        let story = deleted.as_ref().and_then(|deleted| deleted.story);
        Self {
            after,
            deleted_progress_id: deleted.as_ref().map(|it| it.progress.to_string().into()),
            deleted_story_id: story.map(|id| id.to_string().into()),
            conflict,
            refusal,
            labels: deleted.map_or_else(Default::default, |it| [it.tag_ids, it.fandom_ids]),
        }
    }
}

#[ComplexObject]
impl DeleteProgressPayload {
    /// Tags that were on the story, ordered by name. Their `storyCount` is lower by 1.
    async fn changed_tags(&self, ctx: &Context<'_>) -> Result<List<Tag>, Error> {
        let (caller, [tags, _]) = (ctx.caller(), &self.labels);
        let user = &caller.viewer.user;
        let labels = caller.library.labels_with(user, LabelKind::Tag, tags);
        Ok(Tag::list(labels.await?))
    }

    /// Fandoms of the story, ordered by name. Their `storyCount` is lower by 1.
    async fn changed_fandoms(&self, ctx: &Context<'_>) -> Result<List<Fandom>, Error> {
        let (caller, [_, fandoms]) = (ctx.caller(), &self.labels);
        let user = &caller.viewer.user;
        let labels = caller.library.labels_with(user, LabelKind::Fandom, fandoms);
        Ok(Fandom::list(labels.await?))
    }
}

macro_rules! label_deletion {
    ($(#[$doc:meta])* $name:ident { $(#[$id_doc:meta])* $id:ident }) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        #[graphql(complex)]
        pub(in crate::graphql) struct $name {
            #[graphql(flatten)]
            after: After,
            $(#[$id_doc])*
            $id: Option<ID>,
            /// Reason why nothing was changed. Null means that the mutation was made.
            refusal: Option<Refusal>,
            /// The head of the deletion, unless it was refused.
            #[graphql(skip)]
            head: Option<Head>,
        }

        impl From<Written<LabelId>> for $name {
            fn from(written: Written<LabelId>) -> Self {
                let (after, head) = (After::from(&written), written.head);
                match written.outcome {
                    Ok(id) => Self {
                        after,
                        $id: Some(id.to_string().into()),
                        refusal: None,
                        head: Some(head),
                    },
                    Err(refusal) => Self {
                        after,
                        $id: None,
                        refusal: Some(refusal.into()),
                        head: None,
                    },
                }
            }
        }

        #[ComplexObject]
        impl $name {
            /// Stories that carried the label, by id, without those that were changed since. For more than a page use
            /// `libraryChanges`.
            async fn changed_stories(
                &self,
                ctx: &Context<'_>,
                #[graphql(
                    default_with = "Some(STORIES)",
                    desc = "Number of stories, from 0 to 100 unless the server is configured otherwise. Null means 20."
                )]
                first: Option<i32>,
            ) -> Result<List<Story>, Error> {
                changed_stories(ctx, self.head, first).await
            }
        }
    };
}

label_deletion! {
    /// Result of `deleteTag`.
    DeleteTagPayload {
        /// UUID of the deleted tag. Null means that the mutation was refused.
        deleted_tag_id
    }
}

label_deletion! {
    /// Result of `deleteFandom`.
    DeleteFandomPayload {
        /// UUID of the deleted fandom. Null means that the mutation was refused.
        deleted_fandom_id
    }
}

async fn changed_stories(
    ctx: &Context<'_>,
    head: Option<Head>,
    first: Option<i32>,
) -> Result<List<Story>, Error> {
    let caller = ctx.caller();
    let first = page_size(first.unwrap_or(STORIES), caller.limits.max_page)?;
    let Some(head) = head else {
        return Ok(List(Vec::new()));
    };
    let user = &caller.viewer.user;
    let stories = caller.library.stories_stamped(user, head, first).await?;
    let batch = Arc::new(Batch::of_stories(stories.iter().map(|story| story.id)));
    let stories = stories.into_iter().map(Arc::new);
    Ok(stories.map(|story| Story::new(story, &batch)).collect())
}
