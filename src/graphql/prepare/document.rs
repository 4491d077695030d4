//! [`Document`]: a prepared document, which is parsed, within the size limits and valid for the schema.
//!
//! ```text
//! text ─ lexical_scan ─ parse ─ document_size ─ validate ─ literals ─ Document
//! ```
//!
//! **Invariant:** only [`Document::prepare`] parses a client's document, and it returns only valid documents.
//! **Invariant:** the result depends only on the text and the limits, so it can be cached by text.

use std::collections::HashSet;

use apollo_compiler::{
    ExecutableDocument, Node, ast,
    executable::{Operation, Selection, SelectionSet},
};
use async_graphql::{Pos, ServerError};

use super::source_location::Positions;
use crate::graphql::{code, error::refusal};

/// A document that is valid for the schema, except for unused variables.
pub(super) struct Document {
    pub executable: ExecutableDocument,
    /// Errors for variables that no operation uses (GraphQL 5.8.4). They are reported after the variable values are
    /// coerced.
    pub unused: Vec<ServerError>,
    pub(super) lines: Positions,
}

impl Document {
    /// Returns the source position of a node.
    pub fn position(&self, span: Option<apollo_compiler::parser::SourceSpan>) -> Pos {
        self.lines.position(span)
    }

    /// Selects the operation to execute: `GetOperation` of the specification (section 6.1).
    pub fn operation(&self, name: Option<&str>) -> Result<&Node<Operation>, ServerError> {
        let operations = &self.executable.operations;
        operations.get(name).map_err(|_| {
            let message = match name {
                Some(name) => format!("Unknown operation named \"{name}\"."),
                None => {
                    "Must provide operation name if query contains multiple operations.".to_owned()
                }
            };
            refusal(code::UNKNOWN_OPERATION, message, None)
        })
    }

    /// Returns the response names of an operation's root fields, ignoring all directives.
    pub fn root_keys(&self, operation: &Operation) -> HashSet<String> {
        let mut keys = HashSet::new();
        let mut sets: Vec<&SelectionSet> = vec![&operation.selection_set];
        let mut spread = HashSet::new();
        while let Some(set) = sets.pop() {
            for selection in &set.selections {
                match selection {
                    Selection::Field(field) => {
                        keys.insert(field.response_name().to_string());
                    }
                    Selection::InlineFragment(inline) => sets.push(&inline.selection_set),
                    Selection::FragmentSpread(it) => {
                        if spread.insert(&it.fragment_name) {
                            let fragment = it.fragment_def(&self.executable);
                            sets.extend(fragment.map(|fragment| &fragment.selection_set));
                        }
                    }
                }
            }
        }
        keys
    }

    pub(super) fn put_null_defaults(&mut self, nulls: &HashSet<(Option<String>, String)>) {
        if nulls.is_empty() {
            return;
        }
        let operations = &mut self.executable.operations;
        let named = operations.named.values_mut();
        for operation in operations.anonymous.iter_mut().chain(named) {
            let operation = operation.make_mut();
            let name = operation.name.as_ref().map(ToString::to_string);
            for variable in &mut operation.variables {
                if nulls.contains(&(name.clone(), variable.name.to_string())) {
                    variable.make_mut().default_value = Some(ast::Value::Null.into());
                }
            }
        }
    }
}
