//! Cache warming: which entries a reader most likely opens next, by how much and how recently they used them.
//!
//! In the flow: `graphql` and committed writes [record](uses::Uses::record) uses in memory, a background task
//! [stores](store) them in batches, and `warm`, events and push messages [read](select) the highest scores.
//!
//! **Invariant:** a use does not change the version, and no request waits until it is stored.
//! **Invariant:** the score of a row is written at most once a minute, and never because time passes.

pub(super) mod score;
pub(super) mod select;
pub(super) mod store;
pub(super) mod uses;
