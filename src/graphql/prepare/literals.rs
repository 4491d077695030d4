//! Checks the literal values in a document, and other rules that the validator misses.
//!
//! | rule of the specification | apollo-compiler 2.0.0-beta.2 (no issue filed) |
//! |---|---|
//! | 5.6.1 values of correct type | does not report which field of an input is wrong |
//! | 5.6.3 input object field uniqueness | accepts duplicates and uses the first |
//! | (ours) no introspection if it is disabled | has no option |
//!
//! Two more workarounds are elsewhere: null defaults in `document_check`, and fields to merge whose lists differ in
//! length in `plan`. Delete each when the validator implements the rule.

use std::collections::HashSet;

use apollo_compiler::{
    Name, Node,
    ast::{Argument, DirectiveList, InputValueDefinition, Value},
    executable::{Field, Selection, SelectionSet},
};
use async_graphql::ServerError;

use super::{coercion::Coerce, document::Document, input::Input, schema::SCHEMA};
use crate::graphql::{
    code,
    error::{self, refusal},
    limits::Limits,
};

/// Errors of the values in a document.
#[derive(Default)]
pub(super) struct Literals {
    pub errors: Vec<ServerError>,
    /// Source offsets of fields with null for a required argument.
    pub null_arguments: HashSet<usize>,
}

/// Checks each operation and each fragment once.
pub(super) fn check(document: &Document, limits: &Limits) -> Literals {
    let mut check = Check {
        document,
        introspection: !limits.no_introspection,
        found: Literals::default(),
    };
    for operation in document.executable.operations.iter() {
        for variable in &operation.variables {
            check.directives(&variable.directives);
            if let Some(default) = &variable.default_value
                && SCHEMA.is_input_type(&variable.ty)
            {
                check.value(&variable.name, default, &variable.ty);
            }
        }
        check.directives(&operation.directives);
        check.set(&operation.selection_set);
    }
    for fragment in document.executable.fragments.values() {
        check.directives(&fragment.directives);
        check.set(&fragment.selection_set);
    }
    check.found
}

struct Check<'d> {
    document: &'d Document,
    introspection: bool,
    found: Literals,
}

impl Check<'_> {
    fn set(&mut self, set: &SelectionSet) {
        for selection in &set.selections {
            self.directives(selection.directives());
            match selection {
                Selection::Field(field) => self.field(field),
                Selection::InlineFragment(inline) => self.set(&inline.selection_set),
                // A fragment is checked at its definition.
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    fn field(&mut self, field: &Node<Field>) {
        if !self.introspection && matches!(field.name.as_str(), "__schema" | "__type") {
            let message = format!(
                "GraphQL introspection has been disabled, but the requested query contained the field \"{}\".",
                field.name
            );
            let at = Some(self.document.position(field.location()));
            let error = refusal(code::VALIDATION_FAILED, message, at);
            self.found.errors.push(error);
        }
        for argument in &field.arguments {
            let definition = field.definition.argument_by_name(&argument.name);
            if argument.value.is_null() && definition.is_some_and(|it| it.is_required()) {
                let offset = field.location().map(|span| span.offset());
                self.found.null_arguments.extend(offset);
            }
        }
        self.arguments(&field.arguments, &field.definition.arguments);
        if let Some(set) = &field.selection_set {
            self.set(set);
        }
    }

    fn directives(&mut self, directives: &DirectiveList) {
        for directive in directives {
            if let Some(definition) = SCHEMA.directive_definitions.get(&directive.name) {
                self.arguments(&directive.arguments, &definition.arguments);
            }
        }
    }

    fn arguments(
        &mut self,
        arguments: &[Node<Argument>],
        definitions: &[Node<InputValueDefinition>],
    ) {
        for argument in arguments {
            let definition = definitions.iter().find(|it| it.name == argument.name);
            match definition {
                Some(definition) => self.value(&argument.name, &argument.value, &definition.ty),
                None => self.twice(&argument.value),
            }
        }
    }

    fn value(&mut self, name: &Name, value: &Node<Value>, ty: &apollo_compiler::ast::Type) {
        self.twice(value);
        let mut coerce = Coerce::new(&SCHEMA, None, name);
        coerce.value(Input::Literal(value), ty);
        let at = self.document.position(value.location());
        for coercion_error in &coerce.coercion_errors {
            let error =
                error::coercion_error(coercion_error, coercion_error.of_literal(), Some(at));
            self.found.errors.push(error);
        }
    }

    /// Reports duplicate fields of input objects.
    fn twice(&mut self, value: &Node<Value>) {
        match &**value {
            Value::List(items) => items.iter().for_each(|item| self.twice(item)),
            Value::Object(fields) => {
                let mut seen = HashSet::new();
                for (name, value) in fields {
                    if !seen.insert(name) {
                        let message =
                            format!("There can be only one input field named \"{name}\".");
                        let at = Some(self.document.position(name.location()));
                        let error = refusal(code::VALIDATION_FAILED, message, at);
                        self.found.errors.push(error);
                    }
                    self.twice(value);
                }
            }
            _ => {}
        }
    }
}
