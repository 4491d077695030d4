//! [`Input`]: a value from a client, in a document or in the JSON of its variables.

use apollo_compiler::{Node, ast};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Number, Value as ConstValue, Variables};

/// Maximum length of a value in an error message, in characters.
const SHOWN: usize = 80;

/// A value before input coercion.
#[derive(Clone, Copy)]
pub(super) enum Input<'v> {
    Literal(&'v Node<ast::Value>),
    Json(&'v ConstValue),
}

impl<'v> Input<'v> {
    pub fn is_null(self) -> bool {
        match self {
            Self::Literal(value) => value.is_null(),
            Self::Json(value) => matches!(value, ConstValue::Null),
        }
    }

    /// Returns the elements of a list.
    pub fn list(self) -> Option<Vec<Self>> {
        match self {
            Self::Literal(value) => value
                .as_list()
                .map(|items| items.iter().map(Self::Literal).collect()),
            Self::Json(ConstValue::List(items)) => Some(items.iter().map(Self::Json).collect()),
            Self::Json(_) => None,
        }
    }

    /// Returns the fields of an object.
    pub fn object(self) -> Option<Vec<(&'v str, Self)>> {
        match self {
            Self::Literal(value) => value.as_object().map(|fields| {
                let field = |(name, value): &'v (apollo_compiler::Name, _)| {
                    (name.as_str(), Self::Literal(value))
                };
                fields.iter().map(field).collect()
            }),
            Self::Json(ConstValue::Object(fields)) => {
                let fields = fields.iter();
                Some(
                    fields
                        .map(|(name, value)| (name.as_str(), Self::Json(value)))
                        .collect(),
                )
            }
            Self::Json(_) => None,
        }
    }

    pub fn string(self) -> Option<&'v str> {
        match self {
            Self::Literal(value) => value.as_str(),
            Self::Json(ConstValue::String(text)) => Some(text),
            Self::Json(_) => None,
        }
    }

    /// Returns the name of an enum value, which is a string in JSON.
    pub fn enum_value(self) -> Option<&'v str> {
        match self {
            Self::Literal(value) => value.as_enum().map(apollo_compiler::Name::as_str),
            Self::Json(_) => self.string(),
        }
    }

    pub fn boolean(self) -> Option<bool> {
        match self {
            Self::Literal(value) => value.to_bool(),
            Self::Json(ConstValue::Boolean(value)) => Some(*value),
            Self::Json(_) => None,
        }
    }

    /// Returns an integer of any size as decimal digits (GraphQL, section 3.5.1). A literal must be written as an
    /// integer. JSON has one number type, so a JSON number must have no fraction.
    pub fn integer(self) -> Option<String> {
        match self {
            Self::Literal(value) => match &**value {
                ast::Value::Int(digits) => Some(digits.as_str().to_owned()),
                _ => None,
            },
            Self::Json(ConstValue::Number(number)) => {
                if number.is_i64() || number.is_u64() {
                    return Some(number.to_string());
                }
                let float = number.as_f64()?;
                (float.fract() == 0.0).then(|| whole(float))
            }
            Self::Json(_) => None,
        }
    }

    /// Returns whether an integer kept all of its digits. A float loses digits beyond 2^53 - 1.
    pub fn is_exact(self) -> bool {
        const MOST: f64 = 9_007_199_254_740_991.0;
        match self {
            Self::Json(ConstValue::Number(number)) if number.is_f64() => {
                number.as_f64().is_some_and(|float| float.abs() <= MOST)
            }
            _ => true,
        }
    }

    /// Returns a number that is finite as a float.
    pub fn number(self) -> Option<Number> {
        match self {
            Self::Literal(value) => value.to_f64().and_then(Number::from_f64),
            Self::Json(ConstValue::Number(number)) => Some(number.clone()),
            Self::Json(_) => None,
        }
    }

    /// Returns the value without coercion, for a custom scalar. Variables are replaced by their values.
    pub fn any(self, variables: Option<&Variables>) -> ConstValue {
        let Self::Literal(value) = self else {
            let Self::Json(value) = self else {
                return ConstValue::Null;
            };
            return value.clone();
        };
        match &**value {
            ast::Value::Null => ConstValue::Null,
            ast::Value::Enum(name) => ConstValue::Enum(Name::new(name)),
            ast::Value::Variable(name) => variables
                .and_then(|variables| variables.get(name.as_str()))
                .cloned()
                .unwrap_or_default(),
            ast::Value::String(text) => ConstValue::String(text.clone()),
            ast::Value::Boolean(value) => ConstValue::Boolean(*value),
            ast::Value::Int(digits) => match digits.as_str().parse::<i64>() {
                Ok(int) => int.into(),
                Err(_) => self.number().map_or(ConstValue::Null, ConstValue::Number),
            },
            ast::Value::Float(_) => self.number().map_or(ConstValue::Null, ConstValue::Number),
            ast::Value::List(items) => {
                let items = items.iter().map(|item| Self::Literal(item).any(variables));
                ConstValue::List(items.collect())
            }
            ast::Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (Name::new(name), Self::Literal(value).any(variables)));
                ConstValue::Object(fields.collect::<IndexMap<_, _>>())
            }
        }
    }

    /// Returns the value for an error message, truncated.
    pub fn shown(self) -> String {
        let text = match self {
            Self::Literal(value) => value.serialize().no_indent().to_string(),
            Self::Json(_) if let Some(digits) = self.integer() => digits,
            Self::Json(value) => value.to_string(),
        };
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

/// Returns the decimal digits of a float without a fraction.
fn whole(float: f64) -> String {
    let digits = format!("{float:.0}");
    if digits == "-0" {
        "0".to_owned()
    } else {
        digits
    }
}
