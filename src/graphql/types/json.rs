//! Scalar for values whose type depends on the field that they belong to.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// A value of a field of an input, as JSON.
pub(super) struct Json(pub serde_json::Value);

/// A JSON value of any type: the value of an input field, written as the field's own type writes it.
#[Scalar(name = "JSON")]
impl ScalarType for Json {
    fn parse(_: Value) -> InputValueResult<Self> {
        Err(InputValueError::custom("no input has this type"))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}
