//! Converts a request to an operation that can be executed.
//!
//! ```text
//! Request ─ documents.resolve ─ prepare(text) [cached] ─ select ─ coerce variables ─ plan ─ operation_cost ─ engine_document ─ Operation
//! ```
//!
//! apollo-compiler parses and validates client documents against our SDL. The parser and the rules of the engine
//! (async-graphql) depart from the specification, and a crafted document can exhaust their stack. So the engine never
//! parses a client's text: it gets a document that [`engine_document`](self::engine_document) built.
//!
//! **Invariant:** the requests of every transport pass through this module.
//! **Invariant:** a refusal in this module is a request error. A later failure is a field error.
//! **Invariant:** the engine gets only plans that [`operation_cost`](self::operation_cost) admitted.

mod coercion;
mod diagnostic;
mod document;
mod document_check;
mod document_size;
mod engine_document;
mod field_cost;
mod input;
mod lexical_scan;
mod literals;
mod operation_cost;
mod plan;
pub(super) mod preparer;
mod schema;
mod source_location;
mod variables;
