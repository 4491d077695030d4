//! What mutations answer: the version, and either what was made or why it was not.

use async_graphql::{Enum, ID, SimpleObject};

use super::{Fandom, Progress, Story, Tag};
use crate::library::{self, Entry, Label, ProgressId, Written};

/// The stable reasons of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::RefusalCode")]
pub(in crate::graphql) enum RefusalCode {
    /// Your library has no such row.
    NotFound,
    /// Your library has a row with this id, url or name already.
    AlreadyExists,
}

/// Why a mutation changed nothing, though its input is sound.
#[derive(SimpleObject)]
pub(in crate::graphql) struct Refusal {
    /// The stable reason.
    code: RefusalCode,
    /// The reason in words, for a developer.
    message: String,
    /// The input field at fault.
    field: String,
    /// The row of yours that stands in the way.
    existing_id: Option<ID>,
}

impl From<library::Refusal> for Refusal {
    fn from(refusal: library::Refusal) -> Self {
        Self {
            code: refusal.code.into(),
            message: refusal.message,
            field: refusal.field,
            existing_id: refusal.existing_id.map(|id| id.to_string().into()),
        }
    }
}

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident from $made:ty { $($(#[$field_doc:meta])* $field:ident: $type:ty = $show:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(in crate::graphql) struct $name {
            /// The version of your library after this mutation.
            library_version: i32,
            $($(#[$field_doc])* $field: Option<$type>,)*
            /// Why nothing was changed; null when the mutation was made.
            refusal: Option<Refusal>,
        }

        impl From<Written<$made>> for $name {
            fn from(written: Written<$made>) -> Self {
                let library_version = written.head.version.number();
                match written.outcome {
                    Ok(made) => {
                        $(let $field = $show(made.clone());)*
                        Self { library_version, $($field,)* refusal: None }
                    }
                    Err(refusal) => Self { library_version, $($field: None,)* refusal: Some(refusal.into()) },
                }
            }
        }
    };
}

payload! {
    /// The answer of `createStoryWithProgress`.
    CreateStoryWithProgressPayload from Entry {
        /// The new entry; null when it was refused.
        progress: Progress = Progress::of,
    }
}

payload! {
    /// The answer of `updateStoryWithRelations`.
    UpdateStoryWithRelationsPayload from Entry {
        /// The story as it is now; null when the change was refused.
        story: Story = |entry: Entry| Some(entry.into()),
        /// Its progress; null when the change was refused.
        progress: Progress = Progress::of,
    }
}

payload! {
    /// The answer of `updateProgress`.
    UpdateProgressPayload from library::Progress {
        /// The progress as it is now; null when the change was refused.
        progress: Progress = |progress: library::Progress| Some(progress.into()),
    }
}

payload! {
    /// The answer of `deleteProgress`.
    DeleteProgressPayload from ProgressId {
        /// The id of the progress that is gone; null when it was refused.
        deleted_id: ID = |id: ProgressId| Some(id.to_string().into()),
    }
}

payload! {
    /// The answer of `createTag`.
    CreateTagPayload from Label {
        /// The new tag; null when it was refused.
        tag: Tag = |label: Label| Some(Tag(label)),
    }
}

payload! {
    /// The answer of `createFandom`.
    CreateFandomPayload from Label {
        /// The new fandom; null when it was refused.
        fandom: Fandom = |label: Label| Some(Fandom(label)),
    }
}
