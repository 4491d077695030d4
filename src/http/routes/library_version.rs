//! `GET /api/library-version`: the current version of the user's library, with conditional requests.
//!
//! The entity tag is the head and a hash of the user. A client sends it back in `If-None-Match`, and gets 304 while it
//! is current. The tag also claims the newest head that the client has seen.
//!
//! **Invariant:** the entity tag of another user is ignored. A browser that two users share may send it, because not
//! every cache obeys `Vary`. Without this rule, its claim of a higher version would begin a new epoch.

use aws_lc_rs::digest;
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
    version::{Head, UserId},
};

/// `GET /api/library-version`.
pub(in crate::http) async fn version(
    State(node): State<Node>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate(&parts, Ask::Read).await?;
    let suffix = suffix(&viewer.user);
    let claims = known_heads(&parts.headers, &suffix).max();
    let head = node.viewer_head(&viewer, &parts.headers, claims).await?;
    let etag = format!("\"{head}{suffix}\"");
    // `no-cache` allows a cache to store the response, but requires revalidation at each use.
    let headers = [
        (header::ETAG, etag.clone()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
        (header::VARY, "Authorization, Cookie".to_owned()),
    ];
    if names(&parts.headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let body = json!({"version": head.version, "epoch": head.epoch.to_string()});
    Ok((headers, Json(body)).into_response())
}

/// Whether `If-None-Match` matches `etag` (RFC 9110, section 13.1.2: a list with weak comparison, or `*`).
fn names(headers: &HeaderMap, etag: &str) -> bool {
    tags(headers).any(|tag| tag == "*" || tag == etag)
}

/// Returns the suffix of the user's entity tags: 64 bits of a hash of the user. It is not a secret, because a user may
/// claim any head of the same user.
fn suffix(user: &UserId) -> String {
    let digest = digest::digest(&digest::SHA256, user.as_str().as_bytes());
    let hash = digest.as_ref().first_chunk().copied().unwrap_or_default();
    format!("-{:016x}", u64::from_be_bytes(hash))
}

/// Returns the heads in `If-None-Match` that have the suffix of the user: the heads that the client claims to have
/// seen.
fn known_heads(headers: &HeaderMap, suffix: &str) -> impl Iterator<Item = Head> {
    tags(headers).filter_map(move |tag| {
        let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
        tag.strip_suffix(suffix)?.parse().ok()
    })
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

    #[test]
    fn only_the_entity_tags_of_the_user_are_claims() {
        let [ann, bob] = ["ann", "bob"].map(|name| suffix(&UserId::new(name).unwrap()));
        assert_ne!(ann, bob);
        let claimed = |tags: &str| {
            let value = HeaderValue::from_str(tags).unwrap();
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, value)]);
            known_heads(&headers, &ann)
                .max()
                .map(|head| head.to_string())
        };
        let tags = format!("\"7.3{ann}\", W/\"7.4{ann}\", \"7.900{bob}\", \"7.901\"");
        assert_eq!(claimed(&tags).as_deref(), Some("7.4"));
        for other in [
            format!("\"7.3{bob}\""),
            "\"7.3\"".to_owned(),
            "*".to_owned(),
        ] {
            assert_eq!(claimed(&other), None, "{other}");
        }
    }
}
