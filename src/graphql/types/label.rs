//! Tags and fandoms.

use async_graphql::{Context, ID, Object};
use time::OffsetDateTime;

use crate::{
    graphql::context::{CallerExt as _, StoriesWith},
    library::{Error, Label, LabelKind},
};

macro_rules! label {
    ($(#[$doc:meta])* $name:ident = $kind:expr) => {
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

            /// How many stories carry it.
            async fn story_count(&self, ctx: &Context<'_>) -> Result<i32, Error> {
                let key = StoriesWith($kind, self.0.id);
                Ok(ctx.caller().rows.load_one(key).await?.unwrap_or_default())
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
    Tag = LabelKind::Tag
}
label! {
    /// The world that a story is set in.
    Fandom = LabelKind::Fandom
}
