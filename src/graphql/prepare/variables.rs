//! Coercion of variable values: `CoerceVariableValues` of the specification (section 6.1.2).

use apollo_compiler::executable::Operation;
use async_graphql::{Name, ServerError, Variables};

use super::{coercion::Coerce, document::Document, input::Input, schema::SCHEMA};
use crate::graphql::{coercion_error::CoercionError, error};

/// Coerces the variables of an operation. An omitted variable without a default stays omitted. Undefined variables are
/// dropped.
///
/// # Errors
/// All values that input coercion rejects.
pub(super) fn coerce(
    document: &Document,
    operation: &Operation,
    given: &Variables,
) -> Result<Variables, Vec<ServerError>> {
    let mut variables = Variables::default();
    let mut errors = Vec::new();
    for definition in &operation.variables {
        let (name, ty) = (definition.name.as_str(), &*definition.ty);
        let mut coerce = Coerce::new(&SCHEMA, None, name);
        let value = match (given.get(name), &definition.default_value) {
            (Some(value), _) => coerce.value(Input::Json(value), ty),
            (None, Some(default)) => coerce.value(Input::Literal(default), ty),
            (None, None) => {
                if ty.is_non_null() {
                    let rule =
                        format!("Variable \"${name}\" of required type \"{ty}\" was not provided.");
                    coerce.coercion_errors.push(CoercionError::of(name, rule));
                }
                None
            }
        };
        variables.extend(value.map(|value| (Name::new(name), value)));
        let at = document.position(definition.location());
        let coercion_errors = coerce.coercion_errors.iter();
        errors.extend(coercion_errors.map(|coercion_error| {
            error::coercion_error(coercion_error, coercion_error.of_variable(), Some(at))
        }));
    }
    if errors.is_empty() {
        Ok(variables)
    } else {
        Err(errors)
    }
}
