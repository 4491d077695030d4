//! Converts the errors of the parser and the validator to GraphQL errors, with the sentences of graphql-js and our
//! codes.
//!
//! Workaround for apollo-compiler 2.0.0-beta.2: only `unstable_error_name` and `unstable_to_json_compat` give the
//! details of an error, so the version is pinned exactly. Replace them when public functions exist.

use apollo_compiler::diagnostic::Diagnostic;
use apollo_compiler::{
    diagnostic::ToCliReport as _,
    validation::{DiagnosticData, DiagnosticList},
};
use async_graphql::{Pos, ServerError};

use super::{document::Document, literals::Literals};
use crate::graphql::{code, error::refusal, limits::MOST_ERRORS};

/// Errors that other servers report when they parse: the document is not well-formed.
const SYNTAX: [&str; 4] = [
    "TypeSystemDefinition",
    "AmbiguousAnonymousOperation",
    "OperationNameCollision",
    "FragmentNameCollision",
];

/// Errors that our value check reports too, with the name of the field.
const VALUES: [&str; 7] = [
    "UnsupportedValueType",
    "IntCoercionError",
    "FloatCoercionError",
    "UndefinedEnumValue",
    "UndefinedInputValue",
    "RequiredField",
    "OneOfInputObjectFieldCount",
];

/// Returns the error of a text that is not GraphQL.
pub(super) fn syntax(found: &DiagnosticList) -> Vec<ServerError> {
    // One misplaced bracket causes many errors, so report only the first.
    let first = found.iter().next();
    let Some(first) = first else {
        return vec![refusal(code::PARSE_FAILED, "Syntax Error", None)];
    };
    let message = first.error.to_string();
    let error = match message.strip_prefix("syntax error: ") {
        Some(rest) => {
            let message = format!("Syntax Error: {rest}");
            refusal(code::PARSE_FAILED, message, position(&first))
        }
        None => refusal(code::TOO_COMPLEX, message, None),
    };
    vec![error]
}

/// Returns whether an error is about an unused variable.
pub(super) fn is_of_unused_variable(error: &ServerError) -> bool {
    let message = &error.message;
    message.starts_with("Variable \"$") && message.contains("\" is never used")
}

/// Returns all errors of a document. The errors of our value check come first.
pub(super) fn all(
    found: Option<&DiagnosticList>,
    literals: Literals,
    document: &Document,
) -> Vec<ServerError> {
    let mut errors = literals.errors;
    let says_values = !errors.is_empty();
    for found in found.into_iter().flat_map(DiagnosticList::iter) {
        if errors.len() >= MOST_ERRORS {
            break;
        }
        let name = found.error.unstable_error_name().unwrap_or_default();
        let offset = found.error.location().map(|span| span.offset());
        let is_reported = match name {
            _ if VALUES.contains(&name) => says_values,
            "RequiredArgument" => offset.is_some_and(|at| literals.null_arguments.contains(&at)),
            // apollo-compiler 2.0.0-beta.2 counts fields and not response names (no issue filed).
            "SubscriptionUsesMultipleFields" => {
                let operations = document.executable.operations.iter();
                let mut subscriptions = operations.filter(|it| it.is_subscription());
                subscriptions.all(|it| document.root_keys(it).len() == 1)
            }
            _ => false,
        };
        if is_reported {
            continue;
        }
        let code = match name {
            _ if VALUES.contains(&name) => code::BAD_INPUT,
            _ if SYNTAX.contains(&name) => code::PARSE_FAILED,
            _ => code::VALIDATION_FAILED,
        };
        let mut message = found.unstable_to_json_compat().message;
        if name == "ConflictingFieldType" {
            // apollo-compiler 2.0.0-beta.2 omits a quotation mark (no issue filed).
            message = message.replacen(" and \"", "\" and \"", 1);
        }
        errors.push(refusal(code, message, position(&found)));
    }
    errors
}

fn position(found: &Diagnostic<'_, DiagnosticData>) -> Option<Pos> {
    let at = found.line_column_range()?.start;
    Some(Pos {
        line: at.line,
        column: at.column,
    })
}
