//! The schema, and its SDL.

use async_graphql::{SDLExportOptions, SchemaBuilder};

use super::{mutation::Mutation, query::Query, subscription::Subscription};

pub(super) type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

pub(super) fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
}

/// The schema in GraphQL's definition language, as in `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by();
    builder().finish().sdl_with_options(options)
}
