//! `library-sync schema`.

use std::io::{Write as _, stdout};

use crate::graphql;

/// Prints the GraphQL schema.
///
/// # Errors
/// When standard output cannot be written.
pub fn schema() -> anyhow::Result<()> {
    Ok(stdout().write_all(graphql::sdl().as_bytes())?)
}
