//! `GET /api/library-version`: the present version, as cheap to ask for as HTTP allows.
//!
//! The head is its own validator: a client that sends it back in `If-None-Match` is answered 304 while it is current.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    auth::Ask,
    http::{error::HttpError, state::Node},
    version::Head,
};

/// `GET /api/library-version`.
pub(in crate::http) async fn version(
    State(node): State<Node>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate(&parts, Ask::Read).await?;
    let claims = known_heads(&parts.headers).max();
    let head = node.library.head_given(&viewer.user, claims).await?;
    let etag = format!("\"{head}\"");
    // `no-cache`: may be kept, but is asked for again at each use.
    let headers = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        // Or a browser that two users share sends the head of one as what the other was told.
        (header::VARY, "Authorization, Cookie".to_owned()),
    ];
    if names(&parts.headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let body = json!({"version": head.version, "epoch": head.epoch.to_string()});
    Ok((headers, Json(body)).into_response())
}

/// Whether `If-None-Match` names `etag` (RFC 9110, section 13.1.2: a list, compared weakly, or `*`).
fn names(headers: &HeaderMap, etag: &str) -> bool {
    tags(headers).any(|tag| tag == "*" || tag == etag)
}

/// The heads that `If-None-Match` names: what the client says it was told.
fn known_heads(headers: &HeaderMap) -> impl Iterator<Item = Head> {
    tags(headers).filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok())
}

fn tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn an_etag_is_found_in_a_list_and_compared_weakly() {
        let named = |value: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))]);
            names(&headers, "\"7.3\"")
        };
        for value in ["\"7.3\"", "W/\"7.3\"", "\"7.2\", \"7.3\"", "*"] {
            assert!(named(value), "{value}");
        }
        for value in ["\"7.2\"", "7.3", "\"7.33\"", ""] {
            assert!(!named(value), "{value}");
        }
    }
}
