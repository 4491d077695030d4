//! Mutations of devices, which do not change the library.

use async_graphql::{Context, Object};

use super::{
    context::CallerExt as _,
    mutation::nullable,
    types::{
        EndStreamsInput, EndStreamsPayload, ForgetDeviceInput, ForgetDevicePayload,
        RenameDeviceInput, RenameDevicePayload, SignOutEverywhereInput, SignOutEverywherePayload,
    },
};
use crate::library::Error;

/// Mutations of devices.
#[derive(Default)]
pub(super) struct DeviceMutation;

#[Object]
impl DeviceMutation {
    /// Gives a device of the user another name. Does not change the library.
    async fn rename_device(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Device to rename, and its new name.")] input: RenameDeviceInput,
    ) -> Option<Result<RenameDevicePayload, Error>> {
        nullable(input.rename(ctx.caller())).await
    }

    /// Forgets a device of the user, and removes its push endpoint. Its history stays. A device that is in use returns to
    /// the list with its next request. Does not change the library.
    async fn forget_device(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Device to forget.")] input: ForgetDeviceInput,
    ) -> Option<Result<ForgetDevicePayload, Error>> {
        nullable(input.forget(ctx.caller())).await
    }

    /// Ends the open streams of a device on every server, within one heartbeat at most. The device may open new ones: to
    /// keep it out, use `signOutEverywhere`. Does not change the library.
    async fn end_streams(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Device whose streams end.")] input: EndStreamsInput,
    ) -> Option<Result<EndStreamsPayload, Error>> {
        nullable(input.end(ctx.caller())).await
    }

    /// Refuses every token, session and ticket of the user that was issued before now, also that of this request, with
    /// SIGNED_OUT. Ends all streams of the user, within one heartbeat at most. Does not change the library.
    async fn sign_out_everywhere(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Options of the sign-out.")] input: SignOutEverywhereInput,
    ) -> Option<Result<SignOutEverywherePayload, Error>> {
        nullable(input.sign_out(ctx.caller())).await
    }
}
