//! The label: a tag or a fandom, which a user makes and puts on stories.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;

use super::{id::LabelId, text};
use crate::{library::error::Error, version::Version};

/// Which of the two a label is. They differ in nothing but the table they live in.
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
    /// Of the user's own making, such as "to reread".
    Tag,
    /// The world a story is set in.
    Fandom,
}

impl LabelKind {
    /// The input field that carries a set of these, as GraphQL spells it.
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
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// Its name, as the user spelt it.
    pub name: LabelName,
}

impl Label {
    /// The most tags, and the most fandoms, of one library. More than anybody makes by hand; an import could.
    pub const MAX: usize = 10_000;
}

/// The name of a label: 1 to [`LabelName::MAX`] characters, one of them visible. Unique among the user's tags (or
/// fandoms), ignoring case and Unicode form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelName(String);

impl LabelName {
    /// The longest name, in characters.
    pub const MAX: usize = 100;

    /// Trims and checks a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] on `name`.
    pub fn new(mut name: String) -> Result<Self, Error> {
        text::line("name", &mut name, Self::MAX)?;
        Ok(Self(name))
    }

    /// Wraps a stored name.
    pub(in crate::library) fn stored(name: String) -> Self {
        Self(name)
    }

    /// The name as the user spelt it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two names share when they differ in case or Unicode form alone.
    pub fn key(&self) -> String {
        text::fold(&self.0)
    }
}
