//! Which values fit which types, and which variables may stand where they would come.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use async_graphql::{
    Name, Number, PathSegment, Value as ConstValue,
    parser::types::{BaseType, Type, VariableDefinition},
};
use async_graphql_value::Value;

use super::shape::{Shape, Shapes, Slot};

/// Where a value was written, which decides how enum values look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    InDocument,
    InVariables,
}

/// Why a value does not fit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Where the value is, innermost first.
    place: Vec<PathSegment>,
    /// What is wrong, after the value's name.
    rule: String,
}

impl Shapes {
    /// Why a value does not fit a type (GraphQL, section 3.5 to 3.12, "Input Coercion"), if it does not. Variables
    /// inside it are passed over.
    pub fn misfit(&self, value: &Value, ty: &Type, written: Written) -> Option<Misfit> {
        match (value, &ty.base) {
            (Value::Variable(_), _) => None,
            (Value::Null, _) => (!ty.nullable).then(|| Misfit::new("must not be null")),
            (Value::List(values), BaseType::List(item)) => {
                values.iter().enumerate().find_map(|(index, value)| {
                    let misfit = self.misfit(value, item, written)?;
                    Some(misfit.at(index))
                })
            }
            // A value stands for a list of it alone.
            (value, BaseType::List(item)) => self.misfit(value, item, written),
            (value, BaseType::Named(name)) => match self.get(name) {
                Some(Shape::Input(slots)) => self.misfit_object(value, name, slots, written),
                Some(Shape::Enum(values)) => misfit_enum(value, name, values, written),
                _ => misfit_scalar(value, name),
            },
        }
    }

    fn misfit_object(
        &self,
        value: &Value,
        name: &Name,
        slots: &BTreeMap<Name, Slot>,
        written: Written,
    ) -> Option<Misfit> {
        let Value::Object(fields) = value else {
            return Some(Misfit::new(format!("must be an object of type {name}")));
        };
        let wrong = fields.iter().find_map(|(field, value)| {
            let misfit = match slots.get(field) {
                Some(slot) => self.misfit(value, &slot.ty, written)?,
                None => Misfit::new(format!("is no field of {name}")),
            };
            Some(misfit.under(field))
        });
        wrong.or_else(|| {
            let (field, _) = slots
                .iter()
                .find(|(field, slot)| slot.is_required() && !fields.contains_key(*field))?;
            Some(Misfit::new("is required").under(field))
        })
    }
}

impl Misfit {
    pub fn new(rule: impl Into<String>) -> Self {
        let (place, rule) = (Vec::new(), rule.into());
        Self { place, rule }
    }

    /// The same misfit, seen from what holds the value as `name`.
    pub fn under(mut self, name: &str) -> Self {
        self.place.push(PathSegment::Field(name.to_owned()));
        self
    }

    fn at(mut self, index: usize) -> Self {
        self.place.push(PathSegment::Index(index));
        self
    }

    /// The innermost name.
    pub fn field(&self) -> Option<&str> {
        self.place.iter().find_map(|segment| match segment {
            PathSegment::Field(name) => Some(name.as_str()),
            PathSegment::Index(_) => None,
        })
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for (depth, segment) in self.place.iter().rev().enumerate() {
            match segment {
                PathSegment::Field(name) if depth == 0 => f.write_str(name)?,
                PathSegment::Field(name) => write!(f, ".{name}")?,
                PathSegment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, "` {}", self.rule)
    }
}

fn misfit_scalar(value: &Value, name: &Name) -> Option<Misfit> {
    let (fits, expected) = match name.as_str() {
        "Int" => {
            let int = |number: &Number| {
                number
                    .as_i64()
                    .is_some_and(|int| i32::try_from(int).is_ok())
            };
            (
                matches!(value, Value::Number(number) if int(number)),
                "an integer of at most 32 bits",
            )
        }
        "Float" => (matches!(value, Value::Number(_)), "a number"),
        "String" => (matches!(value, Value::String(_)), "a string"),
        "Boolean" => (matches!(value, Value::Boolean(_)), "true or false"),
        "ID" => {
            let id = |number: &Number| number.is_i64() || number.is_u64();
            (
                matches!(value, Value::String(_))
                    || matches!(value, Value::Number(number) if id(number)),
                "an ID",
            )
        }
        // A scalar of our own, which reads its values itself.
        _ => return None,
    };
    (!fits).then(|| Misfit::new(format!("must be {expected}")))
}

fn misfit_enum(
    value: &Value,
    name: &Name,
    values: &HashSet<Name>,
    written: Written,
) -> Option<Misfit> {
    let fits = match (value, written) {
        (Value::Enum(value), _) => values.contains(value),
        (Value::String(value), Written::InVariables) => values.contains(value.as_str()),
        _ => false,
    };
    (!fits).then(|| Misfit::new(format!("must be a value of the enum {name}")))
}

/// `IsVariableUsageAllowed` of the specification.
pub(super) fn is_allowed(definition: &VariableDefinition, ty: &Type, has_default: bool) -> bool {
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
