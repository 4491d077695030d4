//! Validation rules that the engine lacks, breaks, or answers too vaguely.
//!
//! | rule of the specification | the engine |
//! |---|---|
//! | 5.6.1 values of correct type | takes strings for enum values, does not say which field is wrong |
//! | 5.8.2 variables are input types | panics on a default of a list of an unknown type |
//! | 5.8.3, 5.8.4 variables are defined, and used | does not look at `__typename`, so not at its directives either |
//! | 5.8.5 variable usages are allowed | forgets that a slot's default allows a nullable variable |
//! | (ours) no introspection where it is switched off | answers null |
//!
//! In the flow: after the document is measured, before the engine validates it.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned, ServerError,
    parser::types::{
        BaseType, Directive, ExecutableDocument, Field, OperationDefinition, Selection,
        SelectionSet, Type, VariableDefinition,
    },
};
use async_graphql_value::Value;

use super::{
    Limits,
    error::{self, code},
    fit::{Misfit, Written, is_allowed},
    shape::{Fields, Shapes, Slot},
};

/// Finds what breaks the rules above.
pub(super) fn check(
    document: &ExecutableDocument,
    shapes: &Shapes,
    limits: &Limits,
) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for (_, operation) in document.operations.iter() {
        let mut check = Check {
            document,
            shapes,
            limits,
            definitions: HashMap::new(),
            mentioned: HashSet::new(),
            entered: HashSet::new(),
            condition: Type {
                base: BaseType::Named(Name::new("Boolean")),
                nullable: false,
            },
            errors: Vec::new(),
        };
        check.operation(&operation.node);
        errors.append(&mut check.errors);
    }
    errors
}

/// Gives an error of the engine's own rules its code; none for the rules that it breaks and [`check`] keeps.
pub(super) fn engine_error(error: ServerError) -> Option<ServerError> {
    let ServerError {
        message, locations, ..
    } = error;
    let is_of_position = message.contains("used in position expecting");
    if message.starts_with("Variable \"") && (is_of_position || message.contains(" is not used")) {
        return None;
    }
    let is_value = message.starts_with("Invalid value for argument");
    let code = if is_value {
        code::BAD_INPUT
    } else {
        code::VALIDATION_FAILED
    };
    Some(error::refusal(code, message, locations.first().copied()))
}

struct Check<'d> {
    document: &'d ExecutableDocument,
    shapes: &'d Shapes,
    limits: &'d Limits,
    definitions: HashMap<&'d str, &'d VariableDefinition>,
    /// The variables that stand somewhere.
    mentioned: HashSet<&'d str>,
    /// The fragments that were walked through.
    entered: HashSet<&'d str>,
    /// The type of the argument of `@skip` and `@include`.
    condition: Type,
    errors: Vec<ServerError>,
}

impl<'d> Check<'d> {
    fn operation(&mut self, operation: &'d OperationDefinition) {
        for definition in &operation.variable_definitions {
            self.definition(definition.pos, &definition.node);
        }
        // Values are only compared with types that are known to be types of values.
        if self.errors.is_empty() {
            let root = self.shapes.root(operation.ty);
            self.directives(&operation.directives);
            self.selections(&operation.selection_set.node, root);
            for definition in &operation.variable_definitions {
                let name = &definition.node.name.node;
                if !self.mentioned.contains(name.as_str()) {
                    let message = format!("variable `${name}` is not used");
                    self.invalid(message, definition.pos);
                }
            }
        }
    }

    fn definition(&mut self, at: Pos, definition: &'d VariableDefinition) {
        let (name, ty) = (&definition.name.node, &definition.var_type.node);
        if !self.shapes.is_input(ty) {
            let message = format!("variable `${name}` is of {ty}, which is no input type");
            self.invalid(message, at);
        } else if let Some(default) = &definition.default_value {
            let default = default.node.clone().into_value();
            if let Some(misfit) = self.shapes.misfit(&default, ty, Written::InDocument) {
                self.misfit(&misfit.under(name), at);
            }
        }
        self.definitions.insert(name, definition);
    }

    fn selections(&mut self, set: &'d SelectionSet, parent: Option<&'d Fields>) {
        for selection in &set.items {
            self.directives(selection.node.directives());
            match &selection.node {
                Selection::Field(field) => self.field(field, parent),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let parent = match condition {
                        Some(condition) => self.shapes.fields(&condition.node.on.node),
                        None => parent,
                    };
                    self.selections(&inline.node.selection_set.node, parent);
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name)
                        && self.entered.insert(name)
                    {
                        let parent = self
                            .shapes
                            .fields(&fragment.node.type_condition.node.on.node);
                        self.selections(&fragment.node.selection_set.node, parent);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &'d Positioned<Field>, parent: Option<&'d Fields>) {
        let name = &field.node.name.node;
        if !self.limits.introspection && matches!(name.as_str(), "__schema" | "__type") {
            let message = "introspection is switched off".to_owned();
            self.invalid(message, field.pos);
        }
        if name == "__typename" {
            self.typename(field);
        }
        let shape = parent.and_then(|fields| fields.get(name));
        for (name, value) in &field.node.arguments {
            self.mentions(&value.node, value.pos);
            if let Some(slot) = shape.and_then(|shape| shape.arguments.get(&name.node)) {
                self.value(&name.node, value, slot);
            }
        }
        let fields = shape.and_then(|shape| self.shapes.fields_of(shape));
        self.selections(&field.node.selection_set.node, fields);
    }

    /// What the engine checks on every field but this one.
    fn typename(&mut self, field: &Positioned<Field>) {
        let Field {
            arguments,
            directives,
            selection_set,
            ..
        } = &field.node;
        if !arguments.is_empty() || !selection_set.node.items.is_empty() {
            let message = "`__typename` has neither arguments nor fields".to_owned();
            self.invalid(message, field.pos);
        }
        for directive in directives {
            let name = &directive.node.name.node;
            if !is_condition(&directive.node) {
                let message = format!("`@{name}` is unknown here");
                self.invalid(message, directive.pos);
            } else if directive.node.get_argument("if").is_none() {
                let message = format!("`@{name}` needs the argument `if`");
                self.invalid(message, directive.pos);
            }
        }
    }

    fn directives(&mut self, directives: &'d [Positioned<Directive>]) {
        for directive in directives {
            for (name, value) in &directive.node.arguments {
                self.mentions(&value.node, value.pos);
                if is_condition(&directive.node) && name.node == "if" {
                    let (shapes, ty) = (self.shapes, self.condition.clone());
                    let misfit = shapes.misfit(&value.node, &ty, Written::InDocument);
                    if let Some(misfit) = misfit {
                        self.misfit(&misfit.under("if"), value.pos);
                    }
                    self.usages(&value.node, &ty, false, value.pos);
                }
            }
        }
    }

    /// Notes the variables inside a value, which must be defined.
    fn mentions(&mut self, value: &'d Value, at: Pos) {
        match value {
            Value::Variable(name) => {
                let is_new = self.mentioned.insert(name);
                if is_new && !self.definitions.contains_key(name.as_str()) {
                    self.invalid(format!("variable `${name}` is not defined"), at);
                }
            }
            Value::List(values) => values.iter().for_each(|value| self.mentions(value, at)),
            Value::Object(fields) => fields.values().for_each(|value| self.mentions(value, at)),
            _ => {}
        }
    }

    fn value(&mut self, name: &str, value: &Positioned<Value>, slot: &Slot) {
        if let Some(misfit) = self
            .shapes
            .misfit(&value.node, &slot.ty, Written::InDocument)
        {
            self.misfit(&misfit.under(name), value.pos);
        }
        self.usages(&value.node, &slot.ty, slot.default.is_some(), value.pos);
    }

    /// Checks each variable inside a value against the type of the place where it stands.
    fn usages(&mut self, value: &Value, ty: &Type, has_default: bool, at: Pos) {
        match (value, &ty.base) {
            (Value::Variable(name), _) => {
                if let Some(&definition) = self.definitions.get(name.as_str())
                    && !is_allowed(definition, ty, has_default)
                {
                    let of = &definition.var_type.node;
                    let message =
                        format!("variable `${name}` is of type {of}, but stands where {ty} must");
                    self.invalid(message, at);
                }
            }
            (Value::List(values), BaseType::List(item)) => {
                for value in values {
                    self.usages(value, item, false, at);
                }
            }
            (Value::Object(fields), _) => {
                let Some(slots) = self.shapes.slots(ty) else {
                    return;
                };
                for (name, value) in fields {
                    if let Some(slot) = slots.get(name) {
                        self.usages(value, &slot.ty, slot.default.is_some(), at);
                    }
                }
            }
            _ => {}
        }
    }

    fn invalid(&mut self, message: String, at: Pos) {
        let error = error::refusal(code::VALIDATION_FAILED, message, Some(at));
        self.errors.push(error);
    }

    fn misfit(&mut self, misfit: &Misfit, at: Pos) {
        self.errors.push(error::misfit(misfit, Some(at)));
    }
}

fn is_condition(directive: &Directive) -> bool {
    matches!(directive.name.node.as_str(), "skip" | "include")
}
