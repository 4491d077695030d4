//! Input coercion (GraphQL, sections 3.5 to 3.12): converts a value as written to a value of its type.
//!
//! **Invariant:** every returned value has the requested type. The engine does not check it again.

use std::collections::HashSet;

use apollo_compiler::{
    Schema,
    ast::{self, Type},
    schema::{EnumType, ExtendedType, InputObjectType},
};
use async_graphql::{Name, PathSegment, Value as ConstValue, Variables, indexmap::IndexMap};

use super::input::Input;
use crate::graphql::{code, coercion_error::CoercionError, limits::MOST_ERRORS};

/// Coerces the value of one argument or variable, and collects the errors.
pub(super) struct Coerce<'s> {
    schema: &'s Schema,
    /// `None` while a document is checked without variables. Every variable is accepted then.
    variables: Option<&'s Variables>,
    path: Vec<PathSegment>,
    pub coercion_errors: Vec<CoercionError>,
}

impl<'s> Coerce<'s> {
    /// Creates a coercion. `name` is the name of the value in errors.
    pub fn new(schema: &'s Schema, variables: Option<&'s Variables>, name: &str) -> Self {
        Self {
            schema,
            variables,
            path: vec![PathSegment::Field(name.to_owned())],
            coercion_errors: Vec::new(),
        }
    }

    /// Returns the value as a `ty`. `None` if it is an omitted variable or is rejected.
    pub fn value(&mut self, input: Input<'_>, ty: &Type) -> Option<ConstValue> {
        if self.coercion_errors.len() >= MOST_ERRORS {
            return None;
        }
        if let Input::Literal(literal) = input
            && let ast::Value::Variable(name) = &**literal
        {
            return self.variable(name, input, ty);
        }
        if input.is_null() {
            if ty.is_non_null() {
                self.null(input, ty);
                return None;
            }
            return Some(ConstValue::Null);
        }
        match ty {
            Type::List(item) | Type::NonNullList(item) => self.list(input, item),
            Type::Named(name) | Type::NonNullNamed(name) => self.named(input, name),
        }
    }

    /// Returns the value of a variable. It was coerced to the variable's type, so only null can be invalid (section
    /// 5.8.5).
    fn variable(&mut self, name: &str, input: Input<'_>, ty: &Type) -> Option<ConstValue> {
        let value = self.variables?.get(name)?;
        if matches!(value, ConstValue::Null) && ty.is_non_null() {
            self.null(input, ty);
            return None;
        }
        Some(value.clone())
    }

    fn list(&mut self, input: Input<'_>, item: &Type) -> Option<ConstValue> {
        let Some(items) = input.list() else {
            // A single value is coerced to a list of one element.
            return self.value(input, item).map(|item| vec![item].into());
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, element) in items.into_iter().enumerate() {
            self.path.push(PathSegment::Index(index));
            let before = self.coercion_errors.len();
            match self.value(element, item) {
                Some(value) => values.push(value),
                // An omitted variable in a list is null.
                None if self.coercion_errors.len() == before => values.push(ConstValue::Null),
                None => {}
            }
            self.path.pop();
        }
        Some(ConstValue::List(values))
    }

    fn named(&mut self, input: Input<'_>, name: &str) -> Option<ConstValue> {
        let schema = self.schema;
        match schema.types.get(name)? {
            ExtendedType::InputObject(ty) => self.object(input, ty),
            ExtendedType::Enum(ty) => self.enum_value(input, ty),
            ExtendedType::Scalar(_) => self.scalar(input, name),
            // Validation rejects such variables.
            ExtendedType::Object(_) | ExtendedType::Interface(_) | ExtendedType::Union(_) => None,
        }
    }

    fn scalar(&mut self, input: Input<'_>, name: &str) -> Option<ConstValue> {
        let (value, rule) = match name {
            "Int" => return self.int(input),
            "Float" => (
                input.number().map(ConstValue::Number),
                "Float cannot represent non numeric value",
            ),
            "String" => (
                input.string().map(ConstValue::from),
                "String cannot represent a non string value",
            ),
            "Boolean" => (
                input.boolean().map(ConstValue::Boolean),
                "Boolean cannot represent a non boolean value",
            ),
            "ID" => (
                id(input).map(ConstValue::String),
                match input {
                    Input::Literal(_) => "ID cannot represent a non-string and non-integer value",
                    Input::Json(_) => "ID cannot represent value",
                },
            ),
            _ => (Some(input.any(self.variables)), ""),
        };
        if value.is_none() {
            self.coercion_error(input, format!("{rule}: {}", input.shown()));
        }
        value
    }

    fn int(&mut self, input: Input<'_>) -> Option<ConstValue> {
        let digits = input.integer();
        let rule = match &digits {
            Some(digits) => match digits.parse::<i32>() {
                Ok(int) => return Some(int.into()),
                Err(_) => "Int cannot represent non 32-bit signed integer value",
            },
            None => "Int cannot represent non-integer value",
        };
        self.coercion_error(input, format!("{rule}: {}", input.shown()));
        None
    }

    fn enum_value(&mut self, input: Input<'_>, ty: &EnumType) -> Option<ConstValue> {
        let rule = match (input.enum_value(), input) {
            (Some(value), _) if ty.values.contains_key(value) => {
                return Some(ConstValue::Enum(Name::new(value)));
            }
            (Some(_), _) => {
                format!(
                    "Value {} does not exist in \"{}\" enum.",
                    quoted(&input.shown()),
                    ty.name
                )
            }
            (None, Input::Literal(_)) => {
                format!(
                    "Enum \"{}\" cannot represent non-enum value: {}.",
                    ty.name,
                    input.shown()
                )
            }
            (None, Input::Json(_)) => {
                format!(
                    "Enum \"{}\" cannot represent non-string value: {}.",
                    ty.name,
                    input.shown()
                )
            }
        };
        self.coercion_error(input, rule);
        None
    }

    fn object(&mut self, input: Input<'_>, ty: &InputObjectType) -> Option<ConstValue> {
        let Some(fields) = input.object() else {
            let rule = match input {
                Input::Literal(_) => {
                    format!(
                        "Expected value of type \"{}\", found {}.",
                        ty.name,
                        input.shown()
                    )
                }
                Input::Json(_) => format!("Expected type \"{}\" to be an object.", ty.name),
            };
            self.coercion_error(input, rule);
            return None;
        };
        let mut values = IndexMap::with_capacity(fields.len());
        let given: HashSet<_> = fields.iter().map(|(name, _)| *name).collect();
        for (name, value) in fields {
            self.path.push(PathSegment::Field(name.to_owned()));
            if let Some(field) = ty.fields.get(name) {
                let value = self.value(value, &field.ty);
                values.extend(value.map(|value| (Name::new(name), value)));
            } else {
                let rule = format!("Field \"{name}\" is not defined by type \"{}\".", ty.name);
                self.coercion_error(value, rule);
            }
            self.path.pop();
        }
        self.require(input, ty, &given);
        Some(ConstValue::Object(values))
    }

    /// Reports omitted required fields. Validation has checked the fields that are set to a variable.
    fn require(&mut self, input: Input<'_>, ty: &InputObjectType, given: &HashSet<&str>) {
        for (name, field) in &ty.fields {
            if !field.is_required() || given.contains(name.as_str()) {
                continue;
            }
            let of = match input {
                Input::Literal(_) => format!("{}.{name}", ty.name),
                Input::Json(_) => name.to_string(),
            };
            let ty = &field.ty;
            let rule = format!("Field \"{of}\" of required type \"{ty}\" was not provided.");
            self.path.push(PathSegment::Field(name.to_string()));
            self.coercion_error(input, rule);
            self.path.pop();
        }
    }

    fn null(&mut self, input: Input<'_>, ty: &Type) {
        let rule = match (input, self.path.as_slice()) {
            (Input::Literal(_), _) => format!("Expected value of type \"{ty}\", found null."),
            (Input::Json(_), [PathSegment::Field(variable)]) => {
                let message =
                    format!("Variable \"${variable}\" of non-null type \"{ty}\" must not be null.");
                self.coercion_errors
                    .push(CoercionError::of(variable, message));
                return;
            }
            (Input::Json(_), _) => format!("Expected non-nullable type \"{ty}\" not to be null."),
        };
        self.coercion_error(input, rule);
    }

    fn coercion_error(&mut self, input: Input<'_>, rule: String) {
        if self.coercion_errors.len() >= MOST_ERRORS {
            return;
        }
        self.coercion_errors.push(CoercionError {
            code: code::BAD_INPUT,
            path: self.path.clone(),
            value: Some(input.shown()),
            rule,
        });
    }
}

/// Returns an ID from a string, or from an integer that kept all of its digits.
fn id(input: Input<'_>) -> Option<String> {
    let text = input.string().map(str::to_owned);
    text.or_else(|| input.is_exact().then(|| input.integer()).flatten())
}

fn quoted(text: &str) -> String {
    if text.starts_with('"') {
        text.to_owned()
    } else {
        format!("\"{text}\"")
    }
}
