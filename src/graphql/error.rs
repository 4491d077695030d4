//! Errors as clients see them: a message without internal details, and a stable `extensions.code`.
//!
//! | `extensions.code` | meaning |
//! |---|---|
//! | `GRAPHQL_PARSE_FAILED` | the document is not GraphQL |
//! | `GRAPHQL_VALIDATION_FAILED` | the document is not valid for the schema |
//! | `OPERATION_RESOLUTION_FAILURE` | `operationName` is missing or does not name an operation |
//! | `QUERY_TOO_COMPLEX` | the document exceeds a limit on length, tokens, nesting, depth, fields, aliases or directives |
//! | `ANSWER_TOO_LARGE` | the response would exceed the maximum size of its text; request less, such as a smaller `first` |
//! | `SUBSCRIPTION_NOT_SUPPORTED` | a subscription was sent over a transport with a single response |
//! | `PERSISTED_QUERY_NOT_FOUND` | unknown hash or id; send the document too |
//! | `PERSISTED_QUERY_HASH_MISMATCH` | the document does not match its hash or id |
//! | `PERSISTED_QUERY_NOT_SUPPORTED` | the server does not keep documents of clients |
//! | `DOCUMENT_NOT_TRUSTED` | the server runs only trusted documents, and this is not one of them |
//! | `BAD_USER_INPUT` | a value is invalid; `extensions.field` names it |
//! | `FORBIDDEN` | the account does not exist in the app that creates the accounts |
//! | `SIGNED_OUT` | the user has signed out everywhere since the token was issued; sign in again |
//! | `ACCOUNT_ERASED` | the account was erased after the client's copy was made; empty the copy and the outbox |
//! | `READ_ONLY` | the older app still writes the library; retry after the cut-over |
//! | `UNAVAILABLE` | the database is unavailable; retry |
//! | `INTERNAL_SERVER_ERROR` | a fault of the server, logged with `extensions.requestId` |
//!
//! A refused mutation is data and not an error: see `Refusal`.

use async_graphql::{ErrorExtensionValues, Pos, ServerError};

use super::{code, coercion_error::CoercionError};
use crate::{library::Error, version::UserId};

/// Returns an error with a code.
pub(super) fn refusal(code: &str, message: impl Into<String>, at: Option<Pos>) -> ServerError {
    let mut error = ServerError::new(message, at);
    extend(&mut error, "code", code);
    error
}

/// Returns the error for a value that input coercion rejects.
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

/// The user and the request of a failed operation, for the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub user: &'a UserId,
    /// Also sent to the client. On a stream, the span of an operation does not have it.
    pub request_id: &'a str,
}

/// Sets the code of each error of an executed operation. Hides and logs faults of the server.
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

/// Presents an error that the engine created. Only its messages about argument values are safe for clients.
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

/// Returns an error that contains only the request id, to find the cause in the log.
fn fault(request_id: &str) -> ServerError {
    let mut error = refusal(code::FAULT, "the server failed", None);
    extend(&mut error, "requestId", request_id);
    error
}

/// Logs a panic of an operation and returns its error.
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
