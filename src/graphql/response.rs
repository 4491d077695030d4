//! [`Answer`]: the response to an operation, in the form that every transport sends.

use async_graphql::{Response, ServerError, Value};
use metrics::counter;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::error;

/// A response to one operation, or one event of a subscription.
///
/// Serializes by section 7.1 of the GraphQL specification: `errors` first if there are any, and `data` if and only if
/// the operation was executed. So clients can distinguish request errors from field errors.
///
/// An executed operation has `extensions.libraryVersion`. A request error omits it: it contains no data that could be
/// old, and is usually found without reading the database.
#[derive(Debug)]
pub struct Answer(Outcome);

#[derive(Debug)]
enum Outcome {
    /// A request error: the operation was not executed.
    Refused(Vec<ServerError>),
    /// The operation was executed. Some of its fields may have failed.
    Ran(Box<Response>),
}

impl Answer {
    /// Creates a request error. `code` is stable. `message` must be safe for all clients.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        error::refusal(code, message, None).into()
    }

    pub(super) fn refused(errors: Vec<ServerError>) -> Self {
        debug_assert!(!errors.is_empty(), "a refusal has a reason");
        count(&errors);
        Self(Outcome::Refused(errors))
    }

    pub(super) fn ran(response: Response) -> Self {
        count(&response.errors);
        Self(Outcome::Ran(response.into()))
    }

    /// Returns the request errors of the specification. `None` if the operation was executed, so the response has
    /// `data`.
    pub fn request_errors(&self) -> Option<&[ServerError]> {
        match &self.0 {
            Outcome::Refused(errors) => Some(errors),
            Outcome::Ran(_) => None,
        }
    }

    /// Returns all errors. Empty on success.
    pub fn errors(&self) -> &[ServerError] {
        match &self.0 {
            Outcome::Refused(errors) => errors,
            Outcome::Ran(response) => &response.errors,
        }
    }

    /// Returns whether the database was unavailable for all fields, so that the client must retry the whole request.
    pub fn is_unavailable(&self) -> bool {
        let has_data = match &self.0 {
            Outcome::Refused(_) => false,
            Outcome::Ran(response) => match &response.data {
                Value::Object(fields) => fields.values().any(|value| *value != Value::Null),
                data => *data != Value::Null,
            },
        };
        let is_of = |error: &ServerError| code_of(error) == Some("UNAVAILABLE");
        !has_data && self.errors().iter().any(is_of)
    }

    /// Returns the stable code of the first error.
    pub fn code(&self) -> Option<&str> {
        code_of(self.errors().first()?)
    }
}

/// Counts errors by their codes.
fn count(errors: &[ServerError]) {
    for error in errors {
        let code = code_of(error).unwrap_or("none").to_owned();
        counter!("library_sync_errors_total", "code" => code).increment(1);
    }
}

fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

impl From<ServerError> for Answer {
    fn from(error: ServerError) -> Self {
        Self::refused(vec![error])
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            // The engine's order: `errors` if any, `data`, `extensions` if any.
            Outcome::Ran(response) => response.serialize(serializer),
            Outcome::Refused(errors) => {
                let mut answer = serializer.serialize_struct("Answer", 1)?;
                answer.serialize_field("errors", errors)?;
                answer.end()
            }
        }
    }
}
