//! The parser's and the validator's errors as ours: graphql-js's sentences, our codes.
//!
//! apollo-compiler 2.0.0-beta.2 gives them through two functions that it keeps for another program of its makers
//! (`unstable_error_name`, `unstable_to_json_compat`): hence the exact version. To be replaced when it has public ones.

use apollo_compiler::diagnostic::Diagnostic;
use apollo_compiler::{
    diagnostic::ToCliReport as _,
    validation::{DiagnosticData, DiagnosticList},
};
use async_graphql::{Pos, ServerError};

use super::{document::Document, literals::Literals};
use crate::graphql::{code, error::refusal, limits::MOST_ERRORS};

/// What the parser finds in other servers: the document is no well-formed one.
const SYNTAX: [&str; 4] = [
    "TypeSystemDefinition",
    "AmbiguousAnonymousOperation",
    "OperationNameCollision",
    "FragmentNameCollision",
];

/// What our own check of values says with the field's name.
const VALUES: [&str; 7] = [
    "UnsupportedValueType",
    "IntCoercionError",
    "FloatCoercionError",
    "UndefinedEnumValue",
    "UndefinedInputValue",
    "RequiredField",
    "OneOfInputObjectFieldCount",
];

/// The errors of a text that is not GraphQL.
pub(super) fn syntax(found: &DiagnosticList) -> Vec<ServerError> {
    // One bracket out of place makes many errors; the first is the one to correct.
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

/// Whether an error is that a variable is not used.
pub(super) fn is_of_unused_variable(error: &ServerError) -> bool {
    let message = &error.message;
    message.starts_with("Variable \"$") && message.contains("\" is never used")
}

/// All that is wrong with a document: with its values first, as our own check says it.
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
        let is_told = match name {
            _ if VALUES.contains(&name) => says_values,
            "RequiredArgument" => offset.is_some_and(|at| literals.null_arguments.contains(&at)),
            // It counts fields, not the names that they are answered under; none filed.
            "SubscriptionUsesMultipleFields" => {
                let operations = document.executable.operations.iter();
                let mut subscriptions = operations.filter(|it| it.is_subscription());
                subscriptions.all(|it| document.root_keys(it).len() == 1)
            }
            _ => false,
        };
        if is_told {
            continue;
        }
        let code = match name {
            _ if VALUES.contains(&name) => code::BAD_INPUT,
            _ if SYNTAX.contains(&name) => code::PARSE_FAILED,
            _ => code::VALIDATION_FAILED,
        };
        let mut message = found.unstable_to_json_compat().message;
        if name == "ConflictingFieldType" {
            // A quotation mark is missing; none filed.
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
