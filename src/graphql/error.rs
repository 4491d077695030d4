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
use crate::{library::Error, version::UserId};

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

/// Whose request failed, for the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub user: &'a UserId,
    /// What the client is told too. On a stream, no span around an operation has it.
    pub request_id: &'a str,
}

/// Gives every error of an operation that was run its code; hides and logs those that are our fault.
pub(super) fn present(errors: &mut [ServerError], asker: Asker<'_>) {
    for error in errors {
        present_one(error, asker);
    }
}

fn present_one(error: &mut ServerError, asker: Asker<'_>) {
    let has_code = |values: &ErrorExtensionValues| values.get("code").is_some();
    if error.extensions.as_ref().is_some_and(has_code) {
        return;
    }
    let Some(known) = error.source::<Error>().cloned() else {
        return present_of_engine(error, asker);
    };
    extend(error, "code", known.code());
    if let Error::Invalid { field, .. } = known {
        extend(error, "field", field);
    }
    if let Some(causes) = known.causes() {
        extend(error, "requestId", asker.request_id);
        if known.is_outage() {
            tracing::debug!(
                user.id = asker.user.as_str(),
                request.id = asker.request_id,
                error.causes = causes,
                "an operation failed"
            );
        } else {
            log(known.code(), &causes, asker);
        }
    }
}

/// Of the errors that the engine makes itself, only what it says of an argument's value is for the client.
fn present_of_engine(error: &mut ServerError, asker: Asker<'_>) {
    if error.message.starts_with("Failed to parse") {
        extend(error, "code", code::BAD_INPUT);
    } else {
        log(code::FAULT, &error.message, asker);
        *error = ServerError {
            path: std::mem::take(&mut error.path),
            locations: std::mem::take(&mut error.locations),
            ..fault(asker.request_id)
        };
    }
}

/// An error that says no more than where to look for what went wrong.
fn fault(request_id: &str) -> ServerError {
    let mut error = refusal(code::FAULT, "the server failed", None);
    extend(&mut error, "requestId", request_id);
    error
}

/// The same, of an operation that panicked.
pub(super) fn panicked(asker: Asker<'_>) -> ServerError {
    log(code::FAULT, "a panic, which the line before reports", asker);
    fault(asker.request_id)
}

fn log(code: &str, causes: &str, asker: Asker<'_>) {
    tracing::error!(
        user.id = asker.user.as_str(),
        request.id = asker.request_id,
        error.causes = causes,
        error.code = code,
        "an operation failed"
    );
}

fn extend(error: &mut ServerError, name: &str, value: &str) {
    error.extensions.get_or_insert_default().set(name, value);
}
