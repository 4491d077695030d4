//! The kinds of rows that a library holds.

use strum::{EnumString, IntoStaticStr};

use super::label::LabelKind;

/// The kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumString, IntoStaticStr)]
pub enum Kind {
    /// A story.
    Story,
    /// A progress.
    Progress,
    /// A tag.
    Tag,
    /// A fandom.
    Fandom,
}

impl Kind {
    /// Returns the stored name.
    pub(in crate::library) fn name(self) -> &'static str {
        self.into()
    }
}

impl From<LabelKind> for Kind {
    fn from(kind: LabelKind) -> Self {
        match kind {
            LabelKind::Tag => Self::Tag,
            LabelKind::Fandom => Self::Fandom,
        }
    }
}
