//! Pages of lists (Relay cursor connections specification).

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{Progress, list::List};
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{self, Error, ProgressFilter},
};

/// A place in the list of progresses. Clients see it as text that means nothing to them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProgressCursor(library::ProgressCursor);

impl ProgressCursor {
    fn decode(text: &str) -> Result<Self, Error> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        place.map(Self).ok_or_else(|| Error::Invalid {
            field: "after",
            message: "is not a cursor of this list".to_owned(),
        })
    }

    fn encode(&self) -> String {
        // Serialization cannot fail: a cursor holds only text and numbers.
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&self.0).unwrap_or_default())
    }
}

/// What was asked for of the list of progresses.
#[derive(Clone)]
pub(in crate::graphql) struct Page(library::Page<library::ProgressCursor>);

impl Page {
    pub fn new(first: i32, after: Option<&str>, most: u32) -> Result<Self, Error> {
        let first = page_size(first, most)?;
        let after = after
            .map(ProgressCursor::decode)
            .transpose()?
            .map(|cursor| cursor.0);
        Ok(Self(library::Page { first, after }))
    }

    /// The page to read: one element more tells whether there is a next page.
    pub fn and_one_more(&self) -> library::Page<library::ProgressCursor> {
        library::Page {
            first: self.0.first + 1,
            after: self.0.after.clone(),
        }
    }

    pub fn connection(
        self,
        mut found: Vec<library::Listed>,
        filter: ProgressFilter,
    ) -> ProgressConnection {
        let first = self.0.first as usize;
        let has_next_page = found.len() > first;
        found.truncate(first);
        let stories = found.iter().map(|entry| entry.progress.story_id);
        let batch = Arc::new(Batch::of_stories(stories));
        let edge = |entry: library::Listed| ProgressEdge {
            cursor: ProgressCursor(entry.cursor).encode(),
            node: Progress::with_story(entry.progress, entry.story, &batch),
        };
        let edges: Vec<_> = found.into_iter().map(edge).collect();
        let end_cursor = edges.last().map(|edge| edge.cursor.clone());
        ProgressConnection {
            page_info: PageInfo {
                has_next_page,
                end_cursor,
            },
            edges: List(edges),
            filter,
        }
    }
}

/// Reads an argument `first`.
pub(in crate::graphql) fn page_size(first: i32, most: u32) -> Result<u32, Error> {
    let first = u32::try_from(first).ok().filter(|first| *first <= most);
    first.ok_or_else(|| Error::Invalid {
        field: "first",
        message: format!("must be from 0 to {most}"),
    })
}

/// A page of entries.
pub(in crate::graphql) struct ProgressConnection {
    page_info: PageInfo,
    edges: List<ProgressEdge>,
    filter: ProgressFilter,
}

/// An entry of a page, with its cursor.
#[derive(SimpleObject)]
struct ProgressEdge {
    /// Opaque position of the entry in the list. Send it as `after` for the entries that follow.
    cursor: String,
    /// Entry at the position.
    node: Progress,
}

/// Position of a page in its list. Lists are read forward: with `first` and `after`.
#[derive(SimpleObject)]
struct PageInfo {
    /// Whether the list has entries after this page.
    has_next_page: bool,
    /// Cursor of the last entry of the page: the `after` of the next page. Null means that the page is empty.
    end_cursor: Option<String>,
}

/// A page of entries of the library.
#[Object]
impl ProgressConnection {
    /// Position of the page in the list.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// Entries of the page with their cursors.
    async fn edges(&self) -> &List<ProgressEdge> {
        &self.edges
    }

    /// Entries of the page, for clients that need no cursor but `pageInfo.endCursor`.
    async fn nodes(&self) -> List<&Progress> {
        self.edges.0.iter().map(|edge| &edge.node).collect()
    }

    /// Number of entries that pass the filter, over all pages.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        let caller = ctx.caller();
        caller.allowance.search(&self.filter.search)?;
        let count = caller
            .library
            .count_progresses(&caller.viewer.user, &self.filter)
            .await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
