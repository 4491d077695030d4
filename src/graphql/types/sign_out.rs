//! Inputs and payloads of `endStreams` and `signOutEverywhere`.

use std::sync::atomic::Ordering;

use async_graphql::{ID, InputObject, SimpleObject};

use super::{Head, Library, date_time::DateTime, payload::Refusal};
use crate::{
    graphql::context::Caller,
    library::{Device, Error},
};

/// A device whose streams end.
#[derive(InputObject)]
pub(in crate::graphql) struct EndStreamsInput {
    /// Id of the device.
    device: ID,
}

/// Options of a sign-out on all devices.
#[derive(InputObject)]
pub(in crate::graphql) struct SignOutEverywhereInput {
    /// Whether devices keep their push endpoints, and show further notices. Null means that the endpoints are removed.
    keep_push_endpoints: Option<bool>,
}

impl EndStreamsInput {
    /// Ends the streams of the caller's device.
    pub async fn end(self, caller: &Caller) -> Result<EndStreamsPayload, Error> {
        let device = Device::new(self.device.0, None)?;
        let (user, head) = (&caller.viewer.user, caller.head()?);
        let is_known = caller.library.end_streams(user, &device).await?;
        let refusal = || Refusal::not_found("device", "the user has no device with this id");
        Ok(EndStreamsPayload {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            device_id: is_known.then(|| device.id().into()),
            refusal: (!is_known).then(refusal),
        })
    }
}

impl SignOutEverywhereInput {
    /// Signs the caller out on all devices.
    pub async fn sign_out(self, caller: &Caller) -> Result<SignOutEverywherePayload, Error> {
        let removes_endpoints = !self.keep_push_endpoints.unwrap_or_default();
        let (user, head) = (&caller.viewer.user, caller.head()?);
        let signed_out = caller.library.sign_out_everywhere(user, removes_endpoints);
        let signed_out_at = signed_out.await?.into();
        caller.is_signed_out.store(true, Ordering::Relaxed);
        Ok(SignOutEverywherePayload {
            library_version: head.version.number(),
            library_head: head.into(),
            library: head.into(),
            signed_out_at,
        })
    }
}

/// Result of `endStreams`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct EndStreamsPayload {
    /// Version of the library, which a stream does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Id of the device whose streams end. Null means that the mutation was refused.
    device_id: Option<ID>,
    /// Reason why no stream ends. Null means that the streams end.
    refusal: Option<Refusal>,
}

/// Result of `signOutEverywhere`.
#[derive(SimpleObject)]
pub(in crate::graphql) struct SignOutEverywherePayload {
    /// Version of the library, which a sign-out does not change.
    library_version: i32,
    /// Head of the library: `libraryVersion` with its epoch.
    library_head: Head,
    /// Library of the signed-in user.
    library: Library,
    /// Time of the sign-out. What was issued before it is refused. A token that states its time of issue in whole seconds
    /// counts as issued at the start of its second.
    signed_out_at: DateTime,
}
