//! GraphQL request parameters in JSON, in the form that all transports share.

use async_graphql::{Extensions, Request, Value, Variables};
use serde_json::Value as Json;

use super::named_documents::DOCUMENT_ID;

/// Reason why a JSON value is not a GraphQL request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The value is not an object.
    #[error("the request must be a JSON object")]
    NoObject,
    /// The request has no document and does not name one.
    #[error("`query` is missing")]
    NoDocument,
    /// The parameter is not a string.
    #[error("`{0}` must be a string")]
    NoString(&'static str),
    /// The parameter is not an object.
    #[error("`{0}` must be an object")]
    NoMap(&'static str),
}

/// Reads the parameters `query`, `operationName`, `variables`, `extensions` and `documentId`. All except `query` may be
/// null, `""` or missing, because some clients send empty parameters. Other parameters are ignored.
///
/// # Errors
/// If a parameter has the wrong type, or the document and its name are both missing.
pub fn request(json: Json) -> Result<Request, Malformed> {
    let Json::Object(mut parameters) = json else {
        return Err(Malformed::NoObject);
    };
    let query = match parameters.remove("query") {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text),
        Some(_) => return Err(Malformed::NoString("query")),
    };
    parameters.retain(|_, value| !value.is_null() && value != "");
    let mut string = |name| match parameters.remove(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed::NoString(name)),
    };
    let operation_name = string("operationName")?;
    let document_id = string(DOCUMENT_ID)?;
    let mut map = |name| match parameters.remove(name) {
        None => Ok(serde_json::Map::new()),
        Some(Json::Object(map)) => Ok(map),
        Some(_) => Err(Malformed::NoMap(name)),
    };
    let variables = map("variables")?;
    let extensions = map("extensions")?;

    let names_document = document_id.is_some() || extensions.contains_key("persistedQuery");
    if query.is_none() && !names_document {
        return Err(Malformed::NoDocument);
    }
    let mut request = Request::new(query.unwrap_or_default());
    request.operation_name = operation_name;
    request.variables = Variables::from_json(Json::Object(variables));
    request.extensions = Extensions(
        extensions
            .into_iter()
            .filter_map(|(name, json)| Some((name, Value::from_json(json).ok()?)))
            .collect(),
    );
    if let Some(id) = document_id {
        let extensions = &mut request.extensions.0;
        extensions.insert(DOCUMENT_ID.to_owned(), Value::String(id));
    }
    Ok(request)
}
