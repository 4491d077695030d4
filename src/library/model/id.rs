//! Ids of library rows: UUIDs that a client may generate itself, so that it can create rows while offline.
//!
//! An id is unique per user only: two users may have rows with the same id.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Generates a `UUIDv7` (RFC 9562, section 5.7), so that ids grow with creation time.
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

/// Generates consecutive ids with one timestamp, so that the first determines the others.
pub(in crate::library) fn series() -> impl FnMut() -> Uuid {
    // The last 32 random bits of a UUIDv7 serve as a counter, which RFC 9562, section 6.2, allows.
    let mut next = Uuid::now_v7().as_u128() & !u128::from(u32::MAX);
    move || {
        next += 1;
        Uuid::from_u128(next)
    }
}

ids! {
    /// Identifies a story of one user.
    StoryId,
    /// Identifies a progress of one user.
    ProgressId,
    /// Identifies a tag or a fandom of one user.
    LabelId,
}
