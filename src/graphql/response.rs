//! What an operation is answered with, in the form that every transport sends.

use async_graphql::{Response, ServerError, Value};
use metrics::counter;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::error;

/// A response to one operation, or one event of a subscription.
///
/// Serializes as section 7.1 of the GraphQL specification says: `errors` first if there are any, and `data` if and only if the
/// operation was run, so that a client can tell a request that was refused from a field that failed.
///
/// What was run says `extensions.libraryVersion`. A request error does not: it shows nothing that could be old, and
/// unless the database does not answer it is found without a look into it.
#[derive(Debug)]
pub struct Answer(Outcome);

#[derive(Debug)]
enum Outcome {
    /// A request error: nothing was run.
    Refused(Vec<ServerError>),
    /// The operation was run, though some of its fields may have failed.
    Ran(Box<Response>),
}

impl Answer {
    /// A request error. `code` is stable; `message` may be shown to anybody.
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

    /// The request errors of the specification: for them the operation was not run, and there is no `data`.
    pub fn request_errors(&self) -> Option<&[ServerError]> {
        match &self.0 {
            Outcome::Refused(errors) => Some(errors),
            Outcome::Ran(_) => None,
        }
    }

    /// What went wrong; empty if nothing did.
    pub fn errors(&self) -> &[ServerError] {
        match &self.0 {
            Outcome::Refused(errors) => errors,
            Outcome::Ran(response) => &response.errors,
        }
    }

    /// Whether the database could answer no field of it, so that the whole request is to be sent again.
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

    /// The stable code of the first error.
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
            // The engine's own order: `errors` if any, `data`, `extensions` if any.
            Outcome::Ran(response) => response.serialize(serializer),
            Outcome::Refused(errors) => {
                let mut answer = serializer.serialize_struct("Answer", 1)?;
                answer.serialize_field("errors", errors)?;
                answer.end()
            }
        }
    }
}
