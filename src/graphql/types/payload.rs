//! What mutations answer: the version, and either what was made or why it was not.

use async_graphql::{Enum, ID, Json, SimpleObject};
use time::OffsetDateTime;

use super::{Fandom, Head, Progress, Story, Tag, event::Device};
use crate::library::{self, Clash, Entry, Label, LabelId, ProgressId, Updated, Written};

/// The stable reasons of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::RefusalCode")]
pub(in crate::graphql) enum RefusalCode {
    /// Your library has no such row.
    NotFound,
    /// Your library has a row with this id, url or name already.
    AlreadyExists,
    /// The row has changed since your base in fields that you set.
    Conflict,
    /// Your library, or the story, would hold more than it may.
    LimitReached,
    /// The idempotency key belongs to another mutation.
    IdempotencyKeyReused,
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

impl Refusal {
    /// A limit that no single field is about.
    pub fn limit_reached(message: String) -> Self {
        Self {
            code: RefusalCode::LimitReached,
            message,
            field: "input".to_owned(),
            existing_id: None,
        }
    }
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

/// Fields on which a change and your library disagree.
#[derive(SimpleObject)]
pub(in crate::graphql) struct Conflict {
    /// What was done about it.
    resolution: Resolution,
    /// The fields, each with its values.
    fields: Vec<FieldConflict>,
}

/// What was done about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum Resolution {
    /// Nothing was changed.
    Rejected,
    /// The rest was changed; these fields were left as they are.
    Merged,
}

/// A field on which a change and your library disagree.
#[derive(SimpleObject)]
pub(in crate::graphql) struct FieldConflict {
    /// The field's name in the input.
    field: String,
    /// What it held at your base; null also when that is forgotten, or you gave no base.
    base: Option<Json<serde_json::Value>>,
    /// What you set; null when you cleared it.
    yours: Option<Json<serde_json::Value>>,
    /// What your library holds; null when it holds nothing.
    theirs: Option<Json<serde_json::Value>>,
    /// The device that set what your library holds; null when it gave no name, or that is forgotten.
    device: Option<Device>,
    /// When that was set, or when the row last changed if that is forgotten.
    at: Option<OffsetDateTime>,
}

impl Conflict {
    /// `status` is what the input calls the field that the library calls `status`.
    fn new(resolution: Resolution, status: &str, clashes: Vec<Clash>) -> Option<Self> {
        let field = |clash| FieldConflict::new(status, clash);
        let fields: Vec<_> = clashes.into_iter().map(field).collect();
        (!fields.is_empty()).then_some(Self { resolution, fields })
    }
}

impl FieldConflict {
    fn new(status: &str, clash: Clash) -> Self {
        // A cleared field is absent or null, and never the JSON value null.
        let shown = |value: serde_json::Value| (!value.is_null()).then_some(Json(value));
        Self {
            field: match clash.field.as_str() {
                "status" => status.to_owned(),
                _ => clash.field,
            },
            base: clash.base.and_then(shown),
            yours: shown(clash.yours),
            theirs: shown(clash.theirs),
            device: clash.device.map(Device::from),
            at: clash.at,
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
            /// The head of your library after this mutation: `libraryVersion` with its epoch. Send it as the `base` of later
            /// changes.
            library_head: Head,
            $($(#[$field_doc])* $field: Option<$type>,)*
            /// Why nothing was changed; null when the mutation was made.
            refusal: Option<Refusal>,
        }

        impl From<Written<$made>> for $name {
            fn from(written: Written<$made>) -> Self {
                let (library_version, library_head) = (written.head.version.number(), written.head.into());
                match written.outcome {
                    Ok(made) => {
                        $(let $field = $show(made.clone());)*
                        Self { library_version, library_head, $($field,)* refusal: None }
                    }
                    Err(refusal) => Self { library_version, library_head, $($field: None,)* refusal: Some(refusal.into()) },
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
    /// The answer of `deleteProgress`.
    DeleteProgressPayload from ProgressId {
        /// The id of the progress that is gone; null when it was refused.
        deleted_progress_id: ID = |id: ProgressId| Some(id.to_string().into()),
    }
}

payload! {
    /// The answer of `createTag`.
    CreateTagPayload from Label {
        /// The new tag; null when it was refused.
        tag: Tag = |label: Label| Some(label.into()),
    }
}

payload! {
    /// The answer of `createFandom`.
    CreateFandomPayload from Label {
        /// The new fandom; null when it was refused.
        fandom: Fandom = |label: Label| Some(label.into()),
    }
}

payload! {
    /// The answer of `deleteTag`.
    DeleteTagPayload from LabelId {
        /// The id of the tag that is gone; null when it was refused.
        deleted_tag_id: ID = |id: LabelId| Some(id.to_string().into()),
    }
}

payload! {
    /// The answer of `deleteFandom`.
    DeleteFandomPayload from LabelId {
        /// The id of the fandom that is gone; null when it was refused.
        deleted_fandom_id: ID = |id: LabelId| Some(id.to_string().into()),
    }
}

macro_rules! update_payload {
    ($(#[$doc:meta])* $name:ident from $made:ty, status: $status:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty = $show:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(in crate::graphql) struct $name {
            /// The version of your library after this mutation.
            library_version: i32,
            /// The head of your library after this mutation: `libraryVersion` with its epoch. Send it as the `base` of later
            /// changes.
            library_head: Head,
            $($(#[$field_doc])* $field: Option<$type>,)*
            /// What clashed with changes that other devices made; null when nothing did.
            conflict: Option<Conflict>,
            /// Why nothing was changed; null when the mutation was made.
            refusal: Option<Refusal>,
        }

        impl From<Written<Updated<$made>>> for $name {
            fn from(written: Written<Updated<$made>>) -> Self {
                let (library_version, library_head) = (written.head.version.number(), written.head.into());
                match written.outcome {
                    Ok(Updated { row, left }) => {
                        $(let $field = $show(row.clone());)*
                        let conflict = Conflict::new(Resolution::Merged, $status, left);
                        Self { library_version, library_head, $($field,)* conflict, refusal: None }
                    }
                    Err(mut refusal) => {
                        let clashes = std::mem::take(&mut refusal.clashes);
                        let conflict = Conflict::new(Resolution::Rejected, $status, clashes);
                        Self { library_version, library_head, $($field: None,)* conflict, refusal: Some(refusal.into()) }
                    }
                }
            }
        }
    };
}

update_payload! {
    /// The answer of `updateStoryWithRelations`.
    UpdateStoryWithRelationsPayload from Entry, status: "publicationStatus" {
        /// The story as it is now; null when the change was refused.
        story: Story = |entry: Entry| Some(entry.into()),
        /// Its progress; null when the change was refused.
        progress: Progress = Progress::of,
    }
}

update_payload! {
    /// The answer of `updateProgress`.
    UpdateProgressPayload from library::Progress, status: "readingStatus" {
        /// The progress as it is now; null when the change was refused.
        progress: Progress = |progress: library::Progress| Some(progress.into()),
    }
}

update_payload! {
    /// The answer of `renameTag`.
    RenameTagPayload from Label, status: "" {
        /// The tag as it is now; null when the change was refused.
        tag: Tag = |label: Label| Some(label.into()),
    }
}

update_payload! {
    /// The answer of `renameFandom`.
    RenameFandomPayload from Label, status: "" {
        /// The fandom as it is now; null when the change was refused.
        fandom: Fandom = |label: Label| Some(label.into()),
    }
}
