//! Tags and fandoms.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::{date_time::DateTime, list::List};
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{Error, Label, LabelKind},
};

macro_rules! label {
    ($(#[$doc:meta])* $name:ident = $kind:expr) => {
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
            pub fn list(labels: Vec<Label>) -> List<Self> {
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

        $(#[$doc])*
        #[Object]
        impl $name {
            /// UUID of the label, unique among all rows of the library.
            pub(super) async fn id(&self) -> ID {
                self.label.id.to_string().into()
            }

            /// Name of 1 to 100 characters, as it was typed. Unique among labels of its kind, ignoring case and Unicode form.
            async fn name(&self, ctx: &Context<'_>) -> &str {
                let name = self.label.name.as_str();
                ctx.caller().allowance.spend(name.len()).await;
                name
            }

            /// Number of stories that carry the label. It is counted when it is asked for: a story that gains or loses the
            /// label changes the count and not the `stamp` of the label.
            async fn story_count(&self, ctx: &Context<'_>) -> Result<i32, Error> {
                self.batch.story_count(ctx.caller(), $kind, self.label.id).await
            }

            /// Library version at which the label was created or last renamed.
            async fn stamp(&self) -> i32 {
                self.label.stamp.number()
            }

            /// Time at which the label was created.
            async fn created_at(&self) -> DateTime {
                self.label.created_at.into()
            }

            /// Time at which the label was created or last renamed.
            async fn updated_at(&self) -> DateTime {
                self.label.updated_at.into()
            }
        }
    };
}

label! {
    /// A label that the user makes and puts on stories, such as "to reread".
    Tag = LabelKind::Tag
}
label! {
    /// A label for the fictional world that a story is set in.
    Fandom = LabelKind::Fandom
}
