//! The signed-in user.

use async_graphql::{Context, ID, Object};
use time::OffsetDateTime;

use crate::{graphql::context::CallerExt as _, library::Error};

/// The signed-in user.
pub(in crate::graphql) struct Viewer;

#[Object]
impl Viewer {
    /// The subject of your token.
    async fn id(&self, ctx: &Context<'_>) -> ID {
        ctx.caller().viewer.user.as_str().into()
    }

    /// The version of your library.
    async fn library_version(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        Ok(ctx.caller().present().await?.version.number())
    }

    /// Until when your token is accepted. Streams end then.
    async fn expires_at(&self, ctx: &Context<'_>) -> OffsetDateTime {
        ctx.caller().viewer.expires_at
    }
}
