//! Payloads of mutations: the library after the mutation, and either its result or the reason of its refusal.

use async_graphql::{Context, Enum, ID, SimpleObject};

use super::{
    Fandom, Head, Library, Progress, Story, Tag, date_time::DateTime, event::Device, json::Json,
};
use crate::{
    graphql::context::CallerExt as _,
    library::{self, Clash, Entry, Error, Label, Updated, Written},
};

/// Reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "library::RefusalCode")]
pub(in crate::graphql) enum RefusalCode {
    /// The library has no row of this id.
    NotFound,
    /// The library already has a row with this id, URL or name; see `existingId`.
    AlreadyExists,
    /// Another device changed fields that the mutation sets after `base`; see `conflict`.
    Conflict,
    /// A limit of the library, a story or stream tickets would be exceeded.
    LimitReached,
    /// The idempotency key was used for another mutation.
    IdempotencyKeyReused,
}

/// Reason why a mutation with valid input changed nothing.
#[derive(SimpleObject)]
pub(in crate::graphql) struct Refusal {
    /// Stable reason, for programs.
    code: RefusalCode,
    /// Reason in words, for developers. The text may change.
    message: String,
    /// Input field that is the cause, or `input` when no single field is.
    field: String,
    /// Id of the row that has the id, URL or name already. Null for other reasons.
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

    /// The user has `most` tickets that were not used.
    pub fn unused_tickets(most: u64) -> Self {
        Self::limit_reached(format!(
            "{most} tickets were not used yet: use them or let them expire"
        ))
    }

    /// `field` names something that the user does not have.
    pub fn not_found(field: &str, message: &str) -> Self {
        Self {
            code: RefusalCode::NotFound,
            message: message.to_owned(),
            field: field.to_owned(),
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

/// Fields that a mutation and another device set to different values.
#[derive(SimpleObject)]
pub(in crate::graphql) struct Conflict {
    /// Decision about the fields.
    resolution: Resolution,
    /// Fields that conflict, with their values.
    fields: Vec<FieldConflict>,
}

/// Decision about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum Resolution {
    /// The mutation changed nothing.
    Rejected,
    /// The mutation changed the other fields and left these unchanged.
    Merged,
}

/// A field that a mutation and another device set to different values.
#[derive(SimpleObject)]
pub(in crate::graphql) struct FieldConflict {
    /// UUID of the row, if the mutation names none. Null means the row that it names.
    id: Option<ID>,
    /// Name of the field in the input, or `id` if the row was created or removed.
    field: String,
    /// Value at `base`. Null means no value, no `base`, or that the history was purged.
    base: Option<Json>,
    /// Value that the mutation sets. Null means that it clears the field.
    yours: Option<Json>,
    /// Value that the library holds. Null means no value.
    theirs: Option<Json>,
    /// Device that set the value that the library holds. Null means that it was not named, or that the history was purged.
    device: Option<Device>,
    /// Time at which the library got the value, or at which the row last changed if the history was purged.
    at: Option<DateTime>,
}

impl Conflict {
    /// `status` is what the input calls the field that the library calls `status`.
    pub(super) fn new(resolution: Resolution, status: &str, clashes: Vec<Clash>) -> Option<Self> {
        let field = |clash| FieldConflict::new(status, clash);
        let fields: Vec<_> = clashes.into_iter().map(field).collect();
        (!fields.is_empty()).then_some(Self { resolution, fields })
    }

    /// Takes the clashes of a refusal.
    pub(super) fn of_refusal(refusal: &mut library::Refusal, status: &str) -> Option<Self> {
        let clashes = std::mem::take(&mut refusal.clashes);
        Self::new(Resolution::Rejected, status, clashes)
    }
}

impl FieldConflict {
    fn new(status: &str, clash: Clash) -> Self {
        // A cleared field is absent, and not the JSON value null.
        let shown = |value: serde_json::Value| (!value.is_null()).then_some(Json(value));
        Self {
            id: clash.row.map(|row| row.to_string().into()),
            field: match clash.field.as_str() {
                "status" => status.to_owned(),
                _ => clash.field,
            },
            base: clash.base.and_then(shown),
            yours: shown(clash.yours),
            theirs: shown(clash.theirs),
            device: clash.device.map(Device::from),
            at: clash.at.map(DateTime::from),
        }
    }
}

/// The library after a mutation: fields of every payload of a change.
#[derive(SimpleObject)]
pub(super) struct After {
    /// Version of the library after the mutation: 1 more than before if the mutation changed anything.
    library_version: i32,
    /// Head of the library after the mutation: `libraryVersion` with its epoch. Send it as the `base` of later changes.
    library_head: Head,
    /// Library after the mutation, from which a normalised cache updates its version and counts. For a replayed
    /// mutation it is the library as it is now.
    library: Library,
    /// Whether the mutation was made before under the same idempotency key. The payload is then the original result, and
    /// its rows may be older than those in a cache: keep the row with the higher `stamp`.
    replayed: bool,
}

impl<T> From<&Written<T>> for After {
    fn from(written: &Written<T>) -> Self {
        let head = written.head;
        Self {
            library_version: head.version.number(),
            library_head: head.into(),
            library: if written.replayed {
                Library::default()
            } else {
                head.into()
            },
            replayed: written.replayed,
        }
    }
}

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident from $made:ty { $($(#[$field_doc:meta])* $field:ident: $type:ty = $show:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(in crate::graphql) struct $name {
            #[graphql(flatten)]
            after: After,
            $($(#[$field_doc])* $field: Option<$type>,)*
            /// Reason why nothing was changed. Null means that the mutation was made.
            refusal: Option<Refusal>,
        }

        impl From<Written<$made>> for $name {
            fn from(written: Written<$made>) -> Self {
                let after = After::from(&written);
                match written.outcome {
                    Ok(made) => {
                        $(let $field = $show(made.clone());)*
                        Self { after, $($field,)* refusal: None }
                    }
                    Err(refusal) => Self { after, $($field: None,)* refusal: Some(refusal.into()) },
                }
            }
        }
    };
}

payload! {
    /// Result of `createStoryWithProgress`.
    CreateStoryWithProgressPayload from Entry {
        /// New story. Null means that the mutation was refused.
        story: Story = |entry: Entry| Some(entry.into()),
        /// New progress. Null means that the mutation was refused.
        progress: Progress = Progress::of,
    }
}

payload! {
    /// Result of `createTag`.
    CreateTagPayload from Label {
        /// New tag. Null means that the mutation was refused.
        tag: Tag = |label: Label| Some(label.into()),
    }
}

payload! {
    /// Result of `createFandom`.
    CreateFandomPayload from Label {
        /// New fandom. Null means that the mutation was refused.
        fandom: Fandom = |label: Label| Some(label.into()),
    }
}

macro_rules! update_payload {
    ($(#[$doc:meta])* $name:ident from $made:ty, status: $status:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty = $show:expr),* $(,)? }) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(in crate::graphql) struct $name {
            #[graphql(flatten)]
            after: After,
            $($(#[$field_doc])* $field: Option<$type>,)*
            /// Fields that other devices changed too. Null means that no field conflicts.
            conflict: Option<Conflict>,
            /// Reason why nothing was changed. Null means that the mutation was made.
            refusal: Option<Refusal>,
        }

        impl From<Written<Updated<$made>>> for $name {
            fn from(written: Written<Updated<$made>>) -> Self {
                let after = After::from(&written);
                match written.outcome {
                    Ok(Updated { row, left }) => {
                        $(let $field = $show(row.clone());)*
                        let conflict = Conflict::new(Resolution::Merged, $status, left);
                        Self { after, $($field,)* conflict, refusal: None }
                    }
                    Err(mut refusal) => {
                        let conflict = Conflict::of_refusal(&mut refusal, $status);
                        Self { after, $($field: None,)* conflict, refusal: Some(refusal.into()) }
                    }
                }
            }
        }
    };
}

update_payload! {
    /// Result of `updateStoryWithRelations`.
    UpdateStoryWithRelationsPayload from Entry, status: "publicationStatus" {
        /// Story after the mutation. Null means that the mutation was refused.
        story: Story = |entry: Entry| Some(entry.into()),
        /// Progress of the story. Null means that the mutation was refused.
        progress: Progress = Progress::of,
    }
}

update_payload! {
    /// Result of `updateProgress`.
    UpdateProgressPayload from library::Progress, status: "readingStatus" {
        /// Progress after the mutation. Null means that the mutation was refused, or that it was replayed, `story` of its
        /// progress is selected, and the entry was deleted since.
        progress: Progress = |progress: library::Progress| Some(progress.into()),
    }
}

impl UpdateProgressPayload {
    /// Leaves out the progress of a replayed mutation if its story is selected and was deleted since: the story of a
    /// progress is not null, and a temporary error would make an outbox repeat the mutation indefinitely.
    pub async fn with_present_story(mut self, ctx: &Context<'_>) -> Result<Self, Error> {
        let selects_story = ctx.look_ahead().field("progress").field("story").exists();
        if self.after.replayed
            && selects_story
            && let Some(progress) = self.progress.take()
        {
            self.progress = progress.with_present_story(ctx.caller()).await?;
        }
        Ok(self)
    }
}

update_payload! {
    /// Result of `renameTag`.
    RenameTagPayload from Label, status: "" {
        /// Tag after the mutation. Null means that the mutation was refused.
        tag: Tag = |label: Label| Some(label.into()),
    }
}

update_payload! {
    /// Result of `renameFandom`.
    RenameFandomPayload from Label, status: "" {
        /// Fandom after the mutation. Null means that the mutation was refused.
        fandom: Fandom = |label: Label| Some(label.into()),
    }
}
