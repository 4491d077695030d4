//! Labels: tags and fandoms, which a user creates and attaches to stories.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;

use super::{id::LabelId, text};
use crate::{library::error::Error, version::Version};

/// The two kinds of label. They differ only in their table.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
)]
pub enum LabelKind {
    /// A user-defined category, such as "to reread".
    Tag,
    /// The fictional world of a story.
    Fandom,
}

impl LabelKind {
    /// Returns the input field for ids of this kind, in GraphQL's spelling.
    pub(in crate::library) const fn ids_field(self) -> &'static str {
        match self {
            Self::Tag => "tagIds",
            Self::Fandom => "fandomIds",
        }
    }
}

/// The row of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its id.
    pub id: LabelId,
    /// The version at which it last changed.
    pub stamp: Version,
    /// The version that created it; 0 when unknown.
    #[serde(default)]
    pub created_stamp: Version,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// Time of the last change.
    pub updated_at: OffsetDateTime,
    /// Its name, in the user's spelling.
    pub name: LabelName,
}

impl Label {
    /// Maximum tags, and maximum fandoms, per library. Reachable only by import.
    pub const MAX: usize = 10_000;
}

/// The name of a label: 1 to [`LabelName::MAX`] characters, at least one visible. Unique among the user's tags or
/// fandoms, ignoring case and Unicode form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelName(String);

impl LabelName {
    /// Maximum length in characters.
    pub const MAX: usize = 100;

    /// Trims and checks a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `name`.
    pub fn new(mut name: String) -> Result<Self, Error> {
        text::line("name", &mut name, Self::MAX)?;
        Ok(Self(name))
    }

    /// Wraps a stored name, which may break a rule for new names.
    pub(crate) fn stored(name: String) -> Self {
        Self(name)
    }

    /// Returns the name in the user's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the uniqueness key, equal for names that differ only in case or Unicode form.
    pub fn key(&self) -> String {
        text::fold(&self.0)
    }
}
