//! The history of the library: its writes, and what each changed.

use async_graphql::{ComplexObject, Context, Enum, ID, SimpleObject};

use super::{
    changes::LibraryKind, date_time::DateTime, event::Device, json::Json, list::List,
    page::page_size,
};
use crate::{
    graphql::context::{Caller, CallerExt as _},
    library::{Error, PastWrite, RowChange},
};

/// Number of changes where `first` is absent or null.
const CHANGES: i32 = 20;

/// A page of the history, newest first.
#[derive(SimpleObject)]
pub(in crate::graphql) struct HistoryPage {
    /// Writes of the page.
    nodes: Vec<HistoryWrite>,
    /// Value of `after` for the next page. Null means that this is the last page.
    end_cursor: Option<i32>,
}

impl HistoryPage {
    /// A page of at most `first` writes, of which one more was read.
    pub fn new(mut writes: Vec<PastWrite>, first: usize) -> Self {
        let has_more = writes.len() > first;
        writes.truncate(first);
        let last = writes.last().map(|write| write.version.number());
        Self {
            end_cursor: last.filter(|_| has_more),
            nodes: writes.into_iter().map(HistoryWrite::from).collect(),
        }
    }
}

/// A write: one change of the library, which moved the version by 1.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(in crate::graphql) struct HistoryWrite {
    /// Version of the library after the write. Send it to `undo` to take the write back.
    version: i32,
    /// Time of the write.
    at: DateTime,
    /// Device that made the write. Null when it named no device.
    device: Option<Device>,
    /// Kinds of rows that the write touched.
    kinds: Vec<LibraryKind>,
    #[graphql(skip)]
    write: PastWrite,
}

impl From<PastWrite> for HistoryWrite {
    fn from(write: PastWrite) -> Self {
        Self {
            version: write.version.number(),
            at: write.at.into(),
            device: write.device.clone().map(Device::from),
            kinds: write.kinds.iter().copied().map(LibraryKind::from).collect(),
            write,
        }
    }
}

#[ComplexObject]
impl HistoryWrite {
    /// First rows that the write changed. Null means that their history was purged.
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            default_with = "Some(CHANGES)",
            desc = "Number of rows, from 0 to 100 unless the server is configured otherwise. Null means 20."
        )]
        first: Option<i32>,
    ) -> Option<Result<List<HistoryChange>, Error>> {
        self.first_changes(ctx.caller(), first).await.transpose()
    }
}

impl HistoryWrite {
    async fn first_changes(
        &self,
        caller: &Caller,
        first: Option<i32>,
    ) -> Result<Option<List<HistoryChange>>, Error> {
        let first = page_size(first.unwrap_or(CHANGES), caller.limits.max_page)?;
        let (user, version) = (&caller.viewer.user, self.write.version);
        let changes = caller
            .library
            .changes_of(user, version, first as usize)
            .await?;
        let Some(changes) = changes else {
            return Ok(None);
        };
        let changes: Vec<_> = changes.iter().map(HistoryChange::from).collect();
        caller
            .allowance
            .spend(changes.iter().map(HistoryChange::bytes).sum())
            .await;
        Ok(Some(List(changes)))
    }
}

/// What a write did to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(in crate::graphql) enum HistoryAction {
    /// The write created the row.
    Created,
    /// The write changed fields of the row.
    Changed,
    /// The write removed the row.
    Removed,
}

/// A row that a write changed.
#[derive(SimpleObject)]
pub(in crate::graphql) struct HistoryChange {
    /// Kind of the row.
    kind: LibraryKind,
    /// UUID of the row.
    id: ID,
    /// What the write did to the row.
    action: HistoryAction,
    /// Fields that the write changed. All fields if it created or removed the row.
    fields: Vec<HistoryField>,
}

/// A field that a write changed.
#[derive(SimpleObject)]
pub(in crate::graphql) struct HistoryField {
    /// Name of the field, as in the inputs.
    field: String,
    /// Value before the write. Null means no value.
    before: Option<Json>,
    /// Value after the write. Null means no value.
    after: Option<Json>,
}

impl HistoryChange {
    /// The approximate size of its texts.
    fn bytes(&self) -> usize {
        let size =
            |value: &Option<Json>| value.as_ref().map_or(0, |value| value.0.to_string().len());
        self.fields
            .iter()
            .map(|field| size(&field.before) + size(&field.after))
            .sum()
    }
}

impl From<&RowChange> for HistoryChange {
    fn from(change: &RowChange) -> Self {
        let kind = LibraryKind::from(change.kind);
        let shown = |value: Option<&serde_json::Value>| {
            value.filter(|value| !value.is_null()).cloned().map(Json)
        };
        let field = |name: &String| match (name.as_str(), kind) {
            ("status", LibraryKind::Progress) => "readingStatus".to_owned(),
            ("status", _) => "publicationStatus".to_owned(),
            _ => name.clone(),
        };
        Self {
            kind,
            id: change.id.to_string().into(),
            action: match (&change.before, &change.after) {
                (None, _) => HistoryAction::Created,
                (_, None) => HistoryAction::Removed,
                _ => HistoryAction::Changed,
            },
            fields: change
                .fields()
                .map(|(name, before, after)| HistoryField {
                    field: field(name),
                    before: shown(before),
                    after: shown(after),
                })
                .collect(),
        }
    }
}
