//! Reports of how the library is used, which do not change it.

use async_graphql::{Context, Object};

use super::{
    context::CallerExt as _,
    mutation::nullable,
    types::{OpenedInput, OpenedPayload},
};
use crate::library::Error;

/// Mutations that report a use.
#[derive(Default)]
pub(super) struct UsageMutation;

#[Object]
impl UsageMutation {
    /// Reports that the reader opened an entry, for `Query.warm`. Does not change the library.
    async fn opened(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Entry that was opened.")] input: OpenedInput,
    ) -> Option<Result<OpenedPayload, Error>> {
        nullable(input.record(ctx.caller())).await
    }
}
