//! Pages of lists, as the Relay cursor connections specification has them.

use async_graphql::{
    Context, Object,
    connection::{Connection, CursorType, Edge},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::Progress;
use crate::{
    graphql::context::CallerExt as _,
    library::{self, Error, ProgressId},
    version::Version,
};

/// A place in the list of progresses. Clients see it as text that means nothing to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::graphql) struct ProgressCursor(library::ProgressCursor);

impl CursorType for ProgressCursor {
    type Error = Error;

    fn decode_cursor(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Invalid {
            field: "after",
            message: "is no cursor of this list".to_owned(),
        };
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| malformed())?;
        let (stamp, id) = bytes.split_first_chunk::<4>().ok_or_else(malformed)?;
        Ok(Self(library::ProgressCursor {
            stamp: Version::new(i32::from_be_bytes(*stamp)),
            id: ProgressId(Uuid::from_slice(id).map_err(|_| malformed())?),
        }))
    }

    fn encode_cursor(&self) -> String {
        let mut bytes = self.0.stamp.number().to_be_bytes().to_vec();
        bytes.extend(self.0.id.0.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// What was asked for of the list of progresses.
#[derive(Clone, Copy)]
pub(in crate::graphql) struct Page(library::Page<library::ProgressCursor>);

impl Page {
    pub fn new(first: i32, after: Option<&str>, most: u32) -> Result<Self, Error> {
        let first = u32::try_from(first)
            .ok()
            .filter(|first| *first <= most)
            .ok_or_else(|| Error::Invalid {
                field: "first",
                message: format!("must be from 0 to {most}"),
            })?;
        let after = after
            .map(ProgressCursor::decode_cursor)
            .transpose()?
            .map(|cursor| cursor.0);
        Ok(Self(library::Page { first, after }))
    }

    /// The page to read: one element more tells whether there is a next page.
    pub fn and_one_more(self) -> library::Page<library::ProgressCursor> {
        library::Page {
            first: self.0.first + 1,
            ..self.0
        }
    }

    pub fn connection(
        self,
        mut found: Vec<library::Progress>,
    ) -> Connection<ProgressCursor, Progress, ProgressList> {
        let first = self.0.first as usize;
        let mut connection = Connection::with_additional_fields(
            self.0.after.is_some(),
            found.len() > first,
            ProgressList,
        );
        found.truncate(first);
        connection.edges.extend(found.into_iter().map(|progress| {
            let cursor = library::ProgressCursor {
                stamp: progress.stamp,
                id: progress.id,
            };
            Edge::new(ProgressCursor(cursor), progress.into())
        }));
        connection
    }
}

/// What a list of progresses says of itself as a whole.
pub(in crate::graphql) struct ProgressList;

#[Object]
impl ProgressList {
    /// How many entries there are in all.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        let caller = ctx.caller();
        let count = caller.library.count_progresses(&caller.viewer.user).await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
