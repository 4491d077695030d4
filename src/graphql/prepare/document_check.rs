//! Parses and validates a document, within the size limits.

use std::{collections::HashSet, sync::Arc};

use apollo_compiler::{
    Node,
    ast::{self, Definition},
    parser::Parser,
};
use async_graphql::ServerError;

use super::{
    diagnostic, document::Document, document_size, lexical_scan, literals, schema::SCHEMA,
    source_location::Positions,
};
use crate::graphql::limits::{Limits, MAX_NESTING};

impl Document {
    /// Parses and validates a text.
    ///
    /// # Errors
    /// All errors of the document.
    pub fn prepare(text: &Arc<str>, limits: &Limits) -> Result<Self, Vec<ServerError>> {
        lexical_scan::check(text, limits).map_err(one)?;
        // The parser may recurse several times for one bracket. The lexical scan has bounded the brackets.
        let mut parser = Parser::new().recursion_limit(MAX_NESTING * 4);
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
}

fn one(error: ServerError) -> Vec<ServerError> {
    vec![error]
}

/// Removes null defaults, and returns their operations and variables.
///
/// Workaround for apollo-compiler 2.0.0-beta.2 (no issue filed): `is_variable_usage_allowed` treats a null default like
/// any other default, so it accepts a nullable variable in a non-null position. Delete when it distinguishes null.
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
