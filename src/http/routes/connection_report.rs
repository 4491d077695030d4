//! `GET /api/connection`: how the caller's own request arrived, so that `library-sync doctor` can check the proxy on its way.
//!
//! ```json
//! {"host":"library.example.org","address":"203.0.113.7","addressFrom":"header","forwarded":true}
//! ```

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use crate::{
    auth::Ask,
    http::{error::HttpError, state::Node},
};

/// Headers by which a proxy shows itself.
const OF_PROXIES: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "forwarded", "via"];

/// `GET /api/connection`.
pub(in crate::http) async fn report(
    State(node): State<Node>,
    request: Request,
) -> Result<Response, HttpError> {
    let (parts, _) = request.into_parts();
    node.authenticate(&parts, Ask::Read).await?;
    let (address, is_from_header) = node.rate_limiter.address_and_source(&parts);
    let body = json!({
        "host": text(&parts.headers, "host"),
        "address": address,
        "addressFrom": if is_from_header { "header" } else { "connection" },
        "forwarded": OF_PROXIES.iter().any(|name| parts.headers.contains_key(*name)),
    });
    let private = [(header::CACHE_CONTROL, "private, no-store")];
    Ok((private, Json(body)).into_response())
}

fn text<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r str> {
    headers.get(name)?.to_str().ok()
}
