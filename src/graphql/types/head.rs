//! The `Head` scalar: the point in history that a client's copy reflects.

use async_graphql::{InputValueResult, Scalar, ScalarType, Value};

use crate::{
    library::Error,
    version::{self, InvalidHead},
};

/// A head as the API reads and writes it.
pub(in crate::graphql) struct Head(Result<version::Head, InvalidHead>);

/// A point in the history of the library: a version with the epoch that it belongs to, written `<epoch>.<version>`, such
/// as "1763809200000.42". It equals the `id` of an event of `/api/library-version-events`. Treat it as opaque and send it
/// back as `base`.
#[Scalar]
impl ScalarType for Head {
    fn parse(value: Value) -> InputValueResult<Self> {
        // The resolver reports an invalid head, because only its error can name the field.
        Ok(Self(match value {
            Value::String(text) => text.parse(),
            _ => Err(InvalidHead),
        }))
    }

    fn to_value(&self) -> Value {
        self.0.map_or(Value::Null, |head| head.to_string().into())
    }
}

impl From<version::Head> for Head {
    fn from(head: version::Head) -> Self {
        Self(Ok(head))
    }
}

impl Head {
    /// The head that a client gave in `field`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is none.
    pub fn read(self, field: &'static str) -> Result<version::Head, Error> {
        self.0.map_err(|error| Error::Invalid {
            field,
            message: format!("{error}, such as \"1763809200000.42\""),
        })
    }
}
