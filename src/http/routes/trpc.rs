//! `GET /api/trpc/view.getVersion`: the user's version in the format of the older app's tRPC call.
//!
//! The app's service worker reads `result.data.version`; its page, through superjson, `result.data.json.version`. With
//! `?batch=1`, which tRPC clients send, the response is a list with that one result.

use axum::{
    extract::{RawQuery, Request, State},
    http::header,
    response::IntoResponse,
};

use crate::{
    auth::Ask,
    http::{error::HttpError, state::Node},
    version::Version,
};

/// `GET /api/trpc/view.getVersion`.
pub(in crate::http) async fn version(
    State(node): State<Node>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<impl IntoResponse, HttpError> {
    let (parts, _) = request.into_parts();
    let viewer = node.authenticate(&parts, Ask::Read).await?;
    let head = node.library.head(&viewer.user).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let is_batch = is_batch(&query.unwrap_or_default());
    Ok((headers, result(head.version, is_batch)))
}

fn result(version: Version, is_batch: bool) -> String {
    let result = format!(
        r#"{{"result":{{"data":{{"version":{version},"json":{{"version":{version}}}}}}}}}"#
    );
    if is_batch {
        format!("[{result}]")
    } else {
        result
    }
}

fn is_batch(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "batch" && value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_has_the_version_for_the_worker_and_for_the_page() {
        assert_eq!(
            result(Version::new(7), false),
            r#"{"result":{"data":{"version":7,"json":{"version":7}}}}"#
        );
    }

    #[test]
    fn a_batch_is_a_list_of_one() {
        assert!(is_batch("batch=1&input=%7B%7D"));
        assert!(!is_batch("batch=0"));
        assert!(!is_batch(""));
        assert_eq!(
            result(Version::new(7), true),
            r#"[{"result":{"data":{"version":7,"json":{"version":7}}}}]"#
        );
    }
}
