//! Pages of lists, as the Relay cursor connections specification has them.

use std::sync::Arc;

use async_graphql::{
    Context, Object,
    connection::{Connection, CursorType, Edge},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Progress;
use crate::{
    graphql::{batch::Batch, context::CallerExt as _},
    library::{self, Error, ProgressFilter},
};

/// A place in the list of progresses. Clients see it as text that means nothing to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::graphql) struct ProgressCursor(library::ProgressCursor);

impl CursorType for ProgressCursor {
    type Error = Error;

    fn decode_cursor(text: &str) -> Result<Self, Error> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        place.map(Self).ok_or_else(|| Error::Invalid {
            field: "after",
            message: "is not a cursor of this list".to_owned(),
        })
    }

    fn encode_cursor(&self) -> String {
        // It holds text and numbers alone, which are JSON for certain.
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
            .map(ProgressCursor::decode_cursor)
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
    ) -> Connection<ProgressCursor, Progress, ProgressList> {
        let first = self.0.first as usize;
        let mut connection = Connection::with_additional_fields(
            self.0.after.is_some(),
            found.len() > first,
            ProgressList(filter),
        );
        found.truncate(first);
        let stories = found.iter().map(|entry| entry.progress.story_id);
        let batch = Arc::new(Batch::of_stories(stories));
        let edge = |entry: library::Listed| {
            let progress = Progress::with_story(entry.progress, entry.story, &batch);
            Edge::new(ProgressCursor(entry.cursor), progress)
        };
        connection.edges.extend(found.into_iter().map(edge));
        connection
    }
}

/// Reads an argument `first`.
pub(super) fn page_size(first: i32, most: u32) -> Result<u32, Error> {
    let first = u32::try_from(first).ok().filter(|first| *first <= most);
    first.ok_or_else(|| Error::Invalid {
        field: "first",
        message: format!("must be from 0 to {most}"),
    })
}

/// What a list of progresses says of itself as a whole.
pub(in crate::graphql) struct ProgressList(ProgressFilter);

#[Object]
impl ProgressList {
    /// How many entries there are in all, over all pages.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        let caller = ctx.caller();
        caller.allowance.search(&self.0.search)?;
        let count = caller
            .library
            .count_progresses(&caller.viewer.user, &self.0)
            .await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
