//! Inputs of the mutations of tags and fandoms.

use async_graphql::{ID, InputObject};

use super::intent::{AgainstInput, IntentInput};
use crate::{
    graphql::types::id::label_id,
    library::{Against, Error, Intent, LabelId, LabelName},
};

/// A tag or a fandom to create.
#[derive(InputObject)]
pub(in crate::graphql) struct CreateLabelInput {
    /// Name of 1 to 100 characters. Must be unique among the labels of its kind, ignoring case.
    name: String,
    /// Client-generated UUID of the label, preferably of version 7. Null means that the server makes one.
    id: Option<ID>,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl CreateLabelInput {
    pub fn into_label(self, mutation: &str) -> Result<(Option<LabelId>, LabelName, Intent), Error> {
        let id = self.id.map(|id| label_id("id", &id)).transpose()?;
        let name = LabelName::new(self.name)?;
        let intent = self.intent.of(mutation, &(id, &name))?;
        Ok((id, name, intent))
    }
}

/// A new name for a tag or a fandom.
#[derive(InputObject)]
pub(in crate::graphql) struct RenameLabelInput {
    /// UUID of the label to rename.
    id: ID,
    /// New name of 1 to 100 characters. Must be unique among the labels of its kind, ignoring case.
    name: String,
    #[graphql(flatten)]
    against: AgainstInput,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl RenameLabelInput {
    pub fn into_change(
        self,
        mutation: &str,
    ) -> Result<(LabelId, LabelName, Against, Intent), Error> {
        let id = label_id("id", &self.id)?;
        let name = LabelName::new(self.name)?;
        let against = self.against.against(false)?;
        let intent = self.intent.of(mutation, &(id, &name, against))?;
        Ok((id, name, against, intent))
    }
}

/// A tag or a fandom to delete.
#[derive(InputObject)]
pub(in crate::graphql) struct DeleteLabelInput {
    /// UUID of the label to delete.
    id: ID,
    #[graphql(flatten)]
    intent: IntentInput,
}

impl DeleteLabelInput {
    pub fn into_id(self, mutation: &str) -> Result<(LabelId, Intent), Error> {
        let id = label_id("id", &self.id)?;
        Ok((id, self.intent.of(mutation, &id)?))
    }
}
