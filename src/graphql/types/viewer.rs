//! The signed-in user.

use async_graphql::{Context, ID, Object};

use super::{date_time::DateTime, device::ViewerDevice, push_endpoint::PushEndpoint};
use crate::{graphql::context::CallerExt as _, library::Error};

/// The signed-in user, as the API shows them.
pub(in crate::graphql) struct Viewer;

/// The signed-in user.
#[Object]
impl Viewer {
    /// Subject (`sub`) of the token.
    async fn id(&self, ctx: &Context<'_>) -> ID {
        ctx.caller().viewer.user.as_str().into()
    }

    /// Version of the user's library: from 1, and 1 more with each change.
    async fn library_version(&self, ctx: &Context<'_>) -> Result<i32, Error> {
        Ok(ctx.caller().present().await?.version.number())
    }

    /// Devices of the user that get push messages, in the order of registration. At most 20.
    async fn push_endpoints(&self, ctx: &Context<'_>) -> Result<Vec<PushEndpoint>, Error> {
        let caller = ctx.caller();
        let endpoints = caller.library.endpoints(&caller.viewer.user).await?;
        Ok(endpoints.into_iter().map(PushEndpoint::from).collect())
    }

    /// Devices of the user that have named themselves or have a push endpoint: the last seen first.
    async fn devices(&self, ctx: &Context<'_>) -> Result<Vec<ViewerDevice>, Error> {
        let caller = ctx.caller();
        let devices = caller.library.viewed_devices(&caller.viewer.user).await?;
        Ok(devices.into_iter().map(ViewerDevice::from).collect())
    }

    /// Time until which the token is accepted. Streams that it opened end then.
    async fn expires_at(&self, ctx: &Context<'_>) -> DateTime {
        ctx.caller().viewer.expires_at.into()
    }
}
