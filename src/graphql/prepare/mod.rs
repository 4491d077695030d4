//! From a request as it was sent to an operation that may be run.
//!
//! ```text
//! Request ─ documents.resolve ─ prepare(text) [kept] ─ select ─ coerce variables ─ plan ─ operation_cost ─ engine_document ─ Operation
//! ```
//!
//! apollo-compiler parses and validates what clients send against our SDL. The engine (async-graphql) has a parser and
//! rules of its own, which depart from the specification and can be made to exhaust the stack, so no text of a client
//! reaches it: it is given a document that [`engine_document`](self::engine_document) made.
//!
//! **Invariant:** every transport passes here.
//! **Invariant:** whatever is refused here is a request error; whatever fails later is a field's.
//! **Invariant:** nothing is bound that [`operation_cost`](self::operation_cost) has not admitted.

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
