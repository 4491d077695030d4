//! Inputs and payloads of `undo` and `restoreLibrary`.

use async_graphql::{InputObject, SimpleObject};

use super::{
    Head,
    input::{IntentInput, OnConflict},
    payload::{After, Conflict, Refusal, Resolution},
};
use crate::{
    library::{self, Error, Intent, Restored, Written},
    version::{self, Version},
};

/// The write to undo.
#[derive(InputObject)]
pub(in crate::graphql) struct UndoInput {
    /// Version that the write made, as in `history`. It must be above the library's `floor`.
    version: i32,
    /// What to do about fields that were changed after that version, by any device. Null means REJECT.
    on_conflict: Option<OnConflict>,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl UndoInput {
    pub fn into_change(self) -> Result<(Version, library::OnConflict, Intent), Error> {
        let version = Version::new(self.version);
        let policy = policy(self.on_conflict);
        let intent = self.intent.of("undo", &(version, policy))?;
        Ok((version, policy, intent))
    }
}

/// The version to restore.
#[derive(InputObject)]
pub(in crate::graphql) struct RestoreLibraryInput {
    /// Version as of which the library is restored. It must be from the library's `floor` to its version.
    to: i32,
    /// Head that the client's copy reflects. Fields that were changed after it, by any device, conflict. Null means that
    /// the library is restored in any case.
    base: Option<Head>,
    /// What to do about fields that conflict. Null means REJECT.
    on_conflict: Option<OnConflict>,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl RestoreLibraryInput {
    pub fn into_change(
        self,
    ) -> Result<(Version, Option<version::Head>, library::OnConflict, Intent), Error> {
        let to = Version::new(self.to);
        let base = self.base.map(|base| base.read("base")).transpose()?;
        let policy = policy(self.on_conflict);
        let intent = self.intent.of("restoreLibrary", &(to, base, policy))?;
        Ok((to, base, policy, intent))
    }
}

fn policy(on_conflict: Option<OnConflict>) -> library::OnConflict {
    on_conflict.map_or(library::OnConflict::Reject, Into::into)
}

macro_rules! payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(SimpleObject)]
        pub(in crate::graphql) struct $name {
            #[graphql(flatten)]
            after: After,
            /// Number of rows that were written. Read them by `libraryChanges`. Null means that the mutation was refused.
            changed_row_count: Option<i32>,
            /// Fields that were changed since and were not brought back, at most 100. Null means that no field conflicts.
            conflict: Option<Conflict>,
            /// Reason why nothing was changed. Null means that the mutation was made.
            refusal: Option<Refusal>,
        }

        impl From<Written<Restored>> for $name {
            fn from(written: Written<Restored>) -> Self {
                let after = After::from(&written);
                match written.outcome {
                    Ok(Restored { rows, left }) => Self {
                        after,
                        changed_row_count: Some(i32::try_from(rows).unwrap_or(i32::MAX)),
                        conflict: Conflict::new(Resolution::Merged, "status", left),
                        refusal: None,
                    },
                    Err(mut refusal) => Self {
                        after,
                        changed_row_count: None,
                        conflict: Conflict::of_refusal(&mut refusal, "status"),
                        refusal: Some(refusal.into()),
                    },
                }
            }
        }
    };
}

payload! {
    /// Result of `undo`.
    UndoPayload
}
payload! {
    /// Result of `restoreLibrary`.
    RestoreLibraryPayload
}
