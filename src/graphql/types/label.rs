//! Tags and fandoms.

use async_graphql::{ID, Object};
use time::OffsetDateTime;

use crate::library::Label;

macro_rules! label {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub(in crate::graphql) struct $name(pub Label);

        #[Object]
        impl $name {
            /// Its id, a UUID.
            async fn id(&self) -> ID {
                self.0.id.to_string().into()
            }

            /// Its name, as you spelt it.
            async fn name(&self) -> &str {
                self.0.name.as_str()
            }

            /// The library version at which it last changed.
            async fn stamp(&self) -> i32 {
                self.0.stamp.number()
            }

            /// When it was made.
            async fn created_at(&self) -> OffsetDateTime {
                self.0.created_at
            }

            /// When it last changed.
            async fn updated_at(&self) -> OffsetDateTime {
                self.0.updated_at
            }
        }
    };
}

label! {
    /// A label of your own making, such as "to reread".
    Tag
}
label! {
    /// The world that a story is set in.
    Fandom
}
