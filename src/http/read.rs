//! What a client asks of `/graphql`, out of the address or the body of its request.
//!
//! **Invariant:** no more of a body is held than [`Settings::max_body`], however it is sent.
//! **Invariant:** of a body that is not JSON, as forms are not, nothing is read at all.

use async_graphql::Request;
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, header, request::Parts},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value as Json};
use tokio::time::timeout;
use url::form_urlencoded;

use super::{HttpError, Settings};
use crate::graphql;

/// What is asked for in one HTTP request.
#[derive(Debug)]
pub(super) enum Asked {
    /// One operation.
    One(Box<Request>),
    /// Several, to be run one after the other.
    Batch(Vec<Request>),
}

/// Reads a request.
///
/// # Errors
/// When it is not well-formed, or breaks a limit.
pub(super) async fn asked(
    parts: &Parts,
    body: Body,
    settings: &Settings,
) -> Result<Asked, HttpError> {
    if parts.method == Method::POST {
        check_media_type(&parts.headers)?;
        let body = read_body(&parts.headers, body, settings).await?;
        return parse_body(&body, settings.max_batch);
    }
    let query = parts.uri.query().unwrap_or_default();
    parse_query(query).map(|request| Asked::One(request.into()))
}

/// Refuses every body but JSON in UTF-8. A browser sends no such body for a foreign page without asking first.
fn check_media_type(headers: &HeaderMap) -> Result<(), HttpError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let is_json = match (types.next().map(|value| value.to_str()), types.next()) {
        (Some(Ok(value)), None) => is_json(value),
        _ => false,
    };
    let is_plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_json && is_plain {
        Ok(())
    } else {
        Err(HttpError::UnsupportedMediaType)
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let is_other_charset = parts.any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
    });
    is_json && !is_other_charset
}

async fn read_body(
    headers: &HeaderMap,
    body: Body,
    settings: &Settings,
) -> Result<Bytes, HttpError> {
    let too_large = || HttpError::TooLarge(settings.max_body);
    let announced = headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > settings.max_body) {
        return Err(too_large());
    }
    let whole = Limited::new(body, settings.max_body).collect();
    match timeout(settings.body_timeout, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(HttpError::BadRequest("the body breaks off".to_owned())),
        Err(_) => Err(HttpError::TooSlow),
    }
}

fn parse_body(body: &[u8], max_batch: usize) -> Result<Asked, HttpError> {
    let json: Json = serde_json::from_slice(body)
        .map_err(|error| HttpError::BadRequest(format!("the body is not JSON: {error}")))?;
    let Json::Array(items) = json else {
        let request = graphql::request(json)?;
        return Ok(Asked::One(request.into()));
    };
    if items.is_empty() || items.len() > max_batch {
        return Err(HttpError::Batch(max_batch));
    }
    let requests: Result<_, _> = items.into_iter().map(graphql::request).collect();
    Ok(Asked::Batch(requests?))
}

/// Reads the parameters of a GET request, of which an empty one counts as missing.
fn parse_query(query: &str) -> Result<Request, HttpError> {
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = match &*name {
            _ if value.is_empty() => continue,
            "query" | "operationName" | "documentId" => Json::String(value.into_owned()),
            "variables" | "extensions" => serde_json::from_str(&value)
                .map_err(|error| HttpError::BadRequest(format!("`{name}` is not JSON: {error}")))?,
            _ => continue,
        };
        if parameters
            .insert(name.clone().into_owned(), value)
            .is_some()
        {
            let message = format!("`{name}` is given twice");
            return Err(HttpError::BadRequest(message));
        }
    }
    Ok(graphql::request(Json::Object(parameters))?)
}
