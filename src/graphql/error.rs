//! What an error looks like from outside: a message safe to show, and a stable `extensions.code`.
//!
//! | `extensions.code` | means |
//! |---|---|
//! | `GRAPHQL_PARSE_FAILED` | the document is not GraphQL |
//! | `GRAPHQL_VALIDATION_FAILED` | the document does not fit the schema |
//! | `QUERY_TOO_COMPLEX` | the document passes a limit on depth, fields, aliases, directives, tokens or nesting |
//! | `BAD_USER_INPUT` | a value breaks a rule; `extensions.field` names it |
//! | `FORBIDDEN` | the account does not exist in the app that makes the accounts |
//! | `UNAVAILABLE` | the database cannot answer now; try again |
//! | `INTERNAL_SERVER_ERROR` | a fault of ours, logged under `extensions.requestId` |
//!
//! What a mutation refuses is not an error but data: see `Refusal`.

use async_graphql::{ErrorExtensionValues, ServerError};

use crate::library::Error;

/// Gives every error of a response its code; hides and logs those that are our fault.
pub(super) fn present(errors: &mut [ServerError], request_id: &str) {
    for error in errors {
        present_one(error, request_id);
    }
}

fn present_one(error: &mut ServerError, request_id: &str) {
    let fault = error
        .source::<Error>()
        .map(|fault| (fault.code(), field(fault), fault.causes()));
    let (code, field, causes) = fault.unwrap_or_else(|| (code_of_engine(error), None, None));
    let extensions = error
        .extensions
        .get_or_insert_with(ErrorExtensionValues::default);
    if extensions.get("code").is_some() {
        return;
    }
    extensions.set("code", code);
    if let Some(field) = field {
        extensions.set("field", field);
    }
    if let Some(causes) = causes {
        extensions.set("requestId", request_id);
        tracing::error!(
            error.causes = causes,
            error.code = code,
            "an operation failed"
        );
    }
}

fn field(error: &Error) -> Option<&'static str> {
    if let Error::Invalid { field, .. } = error {
        Some(field)
    } else {
        None
    }
}

/// The code of an error that the GraphQL engine made itself, which says only where it arose.
fn code_of_engine(error: &ServerError) -> &'static str {
    if !error.path.is_empty() {
        // Only an argument that could not be read fails inside a field without one of our errors as its source.
        "BAD_USER_INPUT"
    } else if error.message.contains("too deep") || error.message.contains("too complex") {
        "QUERY_TOO_COMPLEX"
    } else {
        "GRAPHQL_VALIDATION_FAILED"
    }
}
