//! Tags and fandoms.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use time::OffsetDateTime;

use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{Error, Label, LabelKind},
};

macro_rules! label {
    ($(#[$doc:meta])* $name:ident = $kind:expr) => {
        $(#[$doc])*
        pub(in crate::graphql) struct $name {
            label: Arc<Label>,
            batch: Arc<Batch>,
        }

        impl $name {
            /// A label of the batch.
            pub fn new(label: Arc<Label>, batch: &Arc<Batch>) -> Self {
                Self { label, batch: Arc::clone(batch) }
            }

            /// A list of labels.
            pub fn list(labels: Vec<Label>) -> Vec<Self> {
                let batch = Batch::default().with_labels($kind, &labels);
                let batch = Arc::new(batch);
                let labels = labels.into_iter().map(Arc::new);
                labels.map(|label| Self::new(label, &batch)).collect()
            }
        }

        impl From<Label> for $name {
            fn from(label: Label) -> Self {
                let batch = Batch::default().with_labels($kind, [&label]);
                Self { label: Arc::new(label), batch: Arc::new(batch) }
            }
        }

        #[Object]
        impl $name {
            /// Its id, a UUID.
            async fn id(&self) -> ID {
                self.label.id.to_string().into()
            }

            /// Its name, as you spelt it.
            async fn name(&self, ctx: &Context<'_>) -> &str {
                let name = self.label.name.as_str();
                ctx.caller().allowance.spend(name.len()).await;
                name
            }

            /// How many stories carry it.
            async fn story_count(&self, ctx: &Context<'_>) -> Result<i32, Error> {
                self.batch.story_count(ctx.caller(), $kind, self.label.id).await
            }

            /// The library version at which it last changed.
            async fn stamp(&self) -> i32 {
                self.label.stamp.number()
            }

            /// When it was made.
            async fn created_at(&self) -> OffsetDateTime {
                self.label.created_at
            }

            /// When it last changed.
            async fn updated_at(&self) -> OffsetDateTime {
                self.label.updated_at
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
