//! The ids of library rows: UUIDs that a client may make itself, so that it can create while offline.
//!
//! An id means something only together with its user: two users may hold the same one and never meet.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes an id of the present time (`UUIDv7`, RFC 9562, section 5.7), so that ids grow with creation.
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Names a story of one user.
    StoryId,
    /// Names a progress of one user.
    ProgressId,
    /// Names a tag or a fandom of one user.
    LabelId,
}
