//! Mutations of devices, which do not change the library.

use async_graphql::{Context, Object};

use super::{
    context::CallerExt as _,
    mutation::nullable,
    types::{ForgetDeviceInput, ForgetDevicePayload, RenameDeviceInput, RenameDevicePayload},
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
}
