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

/// Makes ids of one moment, each the next number after the one before, so that many are told by the first.
pub(in crate::library) fn series() -> impl FnMut() -> Uuid {
    // Of a UUIDv7, the last 32 bits are random: here they count, as RFC 9562 allows in section 6.2.
    let mut next = Uuid::now_v7().as_u128() & !u128::from(u32::MAX);
    move || {
        next += 1;
        Uuid::from_u128(next)
    }
}

ids! {
    /// Names a story of one user.
    StoryId,
    /// Names a progress of one user.
    ProgressId,
    /// Names a tag or a fandom of one user.
    LabelId,
}
