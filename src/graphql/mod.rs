//! The GraphQL API: what each field means, and how an operation of one viewer is run.
//!
//! In the flow: `http` turns bytes into an [`async_graphql::Request`] and a [`Viewer`]; [`Api`] runs it; resolvers
//! read the library, write it once a mutation, or follow the feed.
//!
//! **Invariant:** every operation has a viewer. There is no anonymous GraphQL.
//! **Invariant:** every response says `extensions.libraryVersion`, a version its data is at least as new as.

mod context;
mod error;
mod execute;
mod mutation;
mod query;
mod subscription;
mod types;

use async_graphql::{SDLExportOptions, SchemaBuilder};

pub use self::execute::Api;
use self::{mutation::Mutation, query::Query, subscription::Subscription};

type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// What one operation may ask for. Past any of them it is answered with a stable code and not run.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How deep selections may nest. The introspection query of common tools is 13 deep.
    pub depth: usize,
    /// How many fields may be selected, a list's fields counted once for each element asked for.
    pub complexity: usize,
    /// How many aliases a document may hold.
    pub aliases: usize,
    /// How many directives one field may carry.
    pub directives: usize,
    /// How many elements a page of a list may hold.
    pub page: u32,
    /// Whether the schema may be asked for its types.
    pub introspection: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 16,
            complexity: 20_000,
            aliases: 50,
            directives: 16,
            page: 100,
            introspection: true,
        }
    }
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
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
