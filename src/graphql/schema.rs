//! The type and the builder of the engine's schema.

use async_graphql::SchemaBuilder;

use super::{mutation::Mutation, query::Query, subscription::Subscription};

pub(super) type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

pub(super) fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
}
