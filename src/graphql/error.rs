//! What an error looks like from outside: a message safe to show, and a stable `extensions.code`.
//!
//! | `extensions.code` | means |
//! |---|---|
//! | `GRAPHQL_PARSE_FAILED` | the document is not GraphQL |
//! | `GRAPHQL_VALIDATION_FAILED` | the document does not fit the schema |
//! | `OPERATION_RESOLUTION_FAILURE` | `operationName` names no operation of the document, or is missing where there are several |
//! | `QUERY_TOO_COMPLEX` | the document passes a limit on length, tokens, nesting, depth, fields, aliases or directives |
//! | `ANSWER_TOO_LARGE` | the answer would hold more text than allowed; ask for less at once, such as a smaller `first` |
//! | `SUBSCRIPTION_NOT_SUPPORTED` | a subscription was sent where there can be only one answer |
//! | `PERSISTED_QUERY_NOT_FOUND` | no document is known by this hash or id; send the text along |
//! | `PERSISTED_QUERY_HASH_MISMATCH` | the document is not the one that the hash or id names |
//! | `PERSISTED_QUERY_NOT_SUPPORTED` | the server keeps no documents of clients |
//! | `DOCUMENT_NOT_TRUSTED` | the server runs only the documents it was given, and this is none of them |
//! | `BAD_USER_INPUT` | a value breaks a rule; `extensions.field` names it |
//! | `FORBIDDEN` | the account does not exist in the app that makes the accounts |
//! | `UNAVAILABLE` | the database cannot answer now; try again |
//! | `INTERNAL_SERVER_ERROR` | a fault of ours, logged under `extensions.requestId` |
//!
//! What a mutation refuses is not an error but data: see `Refusal`.

use async_graphql::{ErrorExtensionValues, Pos, ServerError};

use super::{code, coercion_error::CoercionError};
use crate::library::Error;

/// An error with a code.
pub(super) fn refusal(code: &str, message: impl Into<String>, at: Option<Pos>) -> ServerError {
    let mut error = ServerError::new(message, at);
    extend(&mut error, "code", code);
    error
}

/// A value that does not fit.
pub(super) fn coercion_error(
    coercion_error: &CoercionError,
    message: String,
    at: Option<Pos>,
) -> ServerError {
    let mut error = refusal(coercion_error.code, message, at);
    if let Some(field) = coercion_error.field() {
        extend(&mut error, "field", field);
    }
    error
}

/// Gives every error of an operation that was run its code; hides and logs those that are our fault.
pub(super) fn present(errors: &mut [ServerError], request_id: &str) {
    for error in errors {
        present_one(error, request_id);
    }
}

fn present_one(error: &mut ServerError, request_id: &str) {
    let has_code = |values: &ErrorExtensionValues| values.get("code").is_some();
    if error.extensions.as_ref().is_some_and(has_code) {
        return;
    }
    let Some(known) = error.source::<Error>().cloned() else {
        return present_of_engine(error, request_id);
    };
    extend(error, "code", known.code());
    if let Error::Invalid { field, .. } = known {
        extend(error, "field", field);
    }
    if let Some(causes) = known.causes() {
        extend(error, "requestId", request_id);
        if known.is_outage() {
            tracing::debug!(
                request.id = request_id,
                error.causes = causes,
                "an operation failed"
            );
        } else {
            log(known.code(), &causes, request_id);
        }
    }
}

/// Of the errors that the engine makes itself, only what it says of an argument's value is for the client.
fn present_of_engine(error: &mut ServerError, request_id: &str) {
    if error.message.starts_with("Failed to parse") {
        extend(error, "code", code::BAD_INPUT);
    } else {
        log(code::FAULT, &error.message, request_id);
        *error = ServerError {
            path: std::mem::take(&mut error.path),
            locations: std::mem::take(&mut error.locations),
            ..fault(request_id)
        };
    }
}

/// An error that says no more than where to look for what went wrong.
pub(super) fn fault(request_id: &str) -> ServerError {
    let mut error = refusal(code::FAULT, "the server failed", None);
    extend(&mut error, "requestId", request_id);
    error
}

fn log(code: &str, causes: &str, request_id: &str) {
    // The id that the client was told: on a stream, no span around this knows it.
    tracing::error!(
        request.id = request_id,
        error.causes = causes,
        error.code = code,
        "an operation failed"
    );
}

fn extend(error: &mut ServerError, name: &str, value: &str) {
    error.extensions.get_or_insert_default().set(name, value);
}
