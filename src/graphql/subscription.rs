//! The subscription root: the feed, as GraphQL.

use async_graphql::{Context, Subscription};
use futures_util::{Stream, StreamExt as _};

use super::context::CallerExt as _;
use crate::library::Error;

/// What you may be told as it happens.
pub(super) struct Subscription;

#[Subscription]
impl Subscription {
    /// The version of your library: the present one at once, and then each newer one. A reader that is slow skips to
    /// the newest, so the last one received is always the one to have.
    async fn library_version(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = i32> + use<>, Error> {
        let caller = ctx.caller();
        let heads = caller.feed.follow(&caller.viewer.user).await?;
        Ok(heads.map(|head| head.version.number()))
    }
}
