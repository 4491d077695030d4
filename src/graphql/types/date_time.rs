//! The scalar of times.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A time as the API writes it.
#[derive(Clone, Copy)]
pub(super) struct DateTime(pub OffsetDateTime);

/// A time in UTC, as text in the format of RFC 3339, such as "2026-11-22T12:00:00.123Z".
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339"
)]
impl ScalarType for DateTime {
    fn parse(_: Value) -> InputValueResult<Self> {
        Err(InputValueError::custom("no input has this type"))
    }

    fn to_value(&self) -> Value {
        let text = self.0.to_offset(UtcOffset::UTC).format(&Rfc3339);
        text.map_or(Value::Null, Value::from)
    }
}

impl From<OffsetDateTime> for DateTime {
    fn from(time: OffsetDateTime) -> Self {
        Self(time)
    }
}
