//! The roots of the schema, and the builder of the engine's schema.

use async_graphql::{MergedObject, SchemaBuilder};

use super::{
    account_mutation::AccountMutation, device_mutation::DeviceMutation, mutation::LibraryMutation,
    query::Query, subscription::Subscription, usage_mutation::UsageMutation,
};

pub(super) type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// Changes of the library. Each is atomic, and moves the version by 1 if it changes anything.
#[derive(MergedObject, Default)]
pub(super) struct Mutation(
    LibraryMutation,
    DeviceMutation,
    AccountMutation,
    UsageMutation,
);

pub(super) fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
}
