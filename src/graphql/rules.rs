//! Validation rules that the engine lacks, breaks, or answers too vaguely.
//!
//! | rule of the specification | the engine |
//! |---|---|
//! | 5.6.1 values of correct type | takes strings for enum values, does not say which field is wrong |
//! | 5.8.2 variables are input types | panics on a default of a list of an unknown type |
//! | 5.8.5 variable usages are allowed | forgets that a slot's default allows a nullable variable |
//! | (ours) no introspection where it is switched off | answers null |
//!
//! In the flow: after the document is measured, before the engine validates it.

use std::collections::{HashMap, HashSet};

use async_graphql::{
    Name, Pos, Positioned, ServerError, Value as ConstValue,
    parser::types::{
        BaseType, Directive, ExecutableDocument, Field, OperationDefinition, Selection,
        SelectionSet, Type, VariableDefinition,
    },
};
use async_graphql_value::Value;

use super::{
    Limits,
    error::{self, code},
    shape::{Fields, Misfit, Shapes, Slot, Written},
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
            entered: HashSet::new(),
            condition: Slot {
                ty: Type {
                    base: BaseType::Named(Name::new("Boolean")),
                    nullable: false,
                },
                default: None,
            },
            errors: Vec::new(),
        };
        check.operation(&operation.node);
        errors.append(&mut check.errors);
    }
    errors
}

/// Gives an error of the engine's own rules its code; none for the rule that it breaks and [`check`] keeps.
pub(super) fn engine_error(error: ServerError) -> Option<ServerError> {
    let ServerError {
        message, locations, ..
    } = error;
    if message.starts_with("Variable \"") && message.contains("used in position expecting") {
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
    entered: HashSet<&'d str>,
    /// The argument of `@skip` and `@include`.
    condition: Slot,
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
            self.selections(&operation.selection_set.node, root);
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
        let shape = parent.and_then(|fields| fields.get(name));
        for (name, value) in &field.node.arguments {
            if let Some(slot) = shape.and_then(|shape| shape.arguments.get(&name.node)) {
                self.value(&name.node, value, slot);
            }
        }
        let fields = shape.and_then(|shape| self.shapes.fields_of(shape));
        self.selections(&field.node.selection_set.node, fields);
    }

    fn directives(&mut self, directives: &'d [Positioned<Directive>]) {
        let conditions = directives
            .iter()
            .filter(|directive| matches!(directive.node.name.node.as_str(), "skip" | "include"))
            .filter_map(|directive| directive.node.get_argument("if"));
        for value in conditions {
            let misfit = self
                .shapes
                .misfit(&value.node, &self.condition.ty, Written::InDocument);
            if let Some(misfit) = misfit {
                self.misfit(&misfit.under("if"), value.pos);
            }
            let (ty, has_default) = (self.condition.ty.clone(), false);
            self.usages(&value.node, &ty, has_default, value.pos);
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
                // One that is not defined is the engine's to report.
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

/// `IsVariableUsageAllowed` of the specification.
fn is_allowed(definition: &VariableDefinition, ty: &Type, has_default: bool) -> bool {
    let of = &definition.var_type.node;
    if ty.nullable || !of.nullable {
        return is_compatible(of, ty);
    }
    let own = definition.default_value.as_ref().map(|value| &value.node);
    let never_null = own.is_some_and(|value| *value != ConstValue::Null);
    let nullable = Type {
        nullable: true,
        ..ty.clone()
    };
    (never_null || has_default) && is_compatible(of, &nullable)
}

/// `AreTypesCompatible` of the specification.
fn is_compatible(of: &Type, ty: &Type) -> bool {
    let bases = match (&of.base, &ty.base) {
        (BaseType::Named(of), BaseType::Named(ty)) => of == ty,
        (BaseType::List(of), BaseType::List(ty)) => is_compatible(of, ty),
        _ => false,
    };
    bases && (ty.nullable || !of.nullable)
}
