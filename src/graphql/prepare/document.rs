//! A prepared document: parsed, within the limits on what is written, and valid for the schema.
//!
//! ```text
//! text ─ lexical ─ parse ─ outline ─ validate ─ literals ─ Document
//! ```
//!
//! **Invariant:** nothing but [`Document::prepare`] parses a client's document, and what it returns is valid.
//! **Invariant:** what is prepared depends on the text and the limits alone, so it may be kept under the text.

use std::{collections::HashSet, sync::Arc};

use apollo_compiler::{
    ExecutableDocument, Node,
    ast::{self, Definition},
    executable::{Operation, Selection, SelectionSet},
    parser::Parser,
};
use async_graphql::{Pos, ServerError};

use super::{
    diagnostic, document_size, lexical_scan, literals, schema::SCHEMA, source_location::Positions,
};
use crate::graphql::{code, error::refusal, limits::Limits};

/// A document that is valid for the schema, but for variables that are not used.
pub(super) struct Document {
    pub executable: ExecutableDocument,
    /// Variables that no operation uses (5.8.4): refused once the values of variables are known to fit.
    pub unused: Vec<ServerError>,
    lines: Positions,
}

impl Document {
    /// Parses and validates a text.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn prepare(text: &Arc<str>, limits: &Limits) -> Result<Self, Vec<ServerError>> {
        lexical_scan::check(text, limits).map_err(one)?;
        // A bracket may take several steps of recursion. The lexer has bounded the brackets.
        let mut parser = Parser::new().recursion_limit(limits.nesting * 4);
        let mut ast = parser
            .parse_ast(text.as_ref(), "document")
            .map_err(|broken| diagnostic::syntax(&broken.errors))?;
        document_size::check(&ast, limits).map_err(one)?;

        let nulls = take_null_defaults(&mut ast);
        let (executable, found) = match ast.to_executable_validate(&SCHEMA) {
            Ok(valid) => (valid.into_inner(), None),
            Err(broken) => (broken.partial, Some(broken.errors)),
        };
        let mut document = Self {
            executable,
            unused: Vec::new(),
            lines: Positions::new(Arc::clone(text)),
        };
        document.put_null_defaults(&nulls);
        let literals = literals::check(&document, limits);
        let errors = diagnostic::all(found.as_ref(), literals, &document);
        if errors.iter().all(diagnostic::is_of_unused_variable) {
            document.unused = errors;
            Ok(document)
        } else {
            Err(errors)
        }
    }

    /// Where a node is written.
    pub fn position(&self, span: Option<apollo_compiler::parser::SourceSpan>) -> Pos {
        self.lines.position(span)
    }

    /// `GetOperation` of the specification (section 6.1).
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

    /// The names under which an operation's root fields are answered, whatever directives they have.
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

    fn put_null_defaults(&mut self, nulls: &HashSet<(Option<String>, String)>) {
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

fn one(error: ServerError) -> Vec<ServerError> {
    vec![error]
}

/// Takes the defaults out that are null, by operation and variable: validation takes each for one that makes the
/// variable fit where null does not (apollo-compiler 2.0.0-beta.2, `is_variable_usage_allowed`; none filed). To be
/// dropped when it tells null from other defaults.
fn take_null_defaults(document: &mut ast::Document) -> HashSet<(Option<String>, String)> {
    let mut nulls = HashSet::new();
    for definition in &mut document.definitions {
        let Definition::OperationDefinition(operation) = definition else {
            continue;
        };
        let is_null = |variable: &Node<ast::VariableDefinition>| {
            variable
                .default_value
                .as_ref()
                .is_some_and(|value| value.is_null())
        };
        if !operation.variables.iter().any(is_null) {
            continue;
        }
        let operation = operation.make_mut();
        let name = operation.name.as_ref().map(ToString::to_string);
        for variable in operation.variables.iter_mut().filter(|it| is_null(it)) {
            nulls.insert((name.clone(), variable.name.to_string()));
            variable.make_mut().default_value = None;
        }
    }
    nulls
}
