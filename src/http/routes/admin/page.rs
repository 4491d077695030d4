//! The files of the page. It requests `admin/…` relative to its own path, so it also works behind a proxy's path prefix.

use axum::{
    extract::Path,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `GET /admin`.
pub(super) async fn page() -> Response {
    ([(CONTENT_TYPE, HTML)], include_str!("assets/index.html")).into_response()
}

/// `GET /admin/assets/<name>`.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let (content_type, body) = match name.as_str() {
        "admin.css" => (STYLE, include_str!("assets/admin.css")),
        "admin.js" => (SCRIPT, include_str!("assets/admin.js")),
        "node_view.js" => (SCRIPT, include_str!("assets/node_view.js")),
        "session.js" => (SCRIPT, include_str!("assets/session.js")),
        "tables.js" => (SCRIPT, include_str!("assets/tables.js")),
        "user_view.js" => (SCRIPT, include_str!("assets/user_view.js")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(CONTENT_TYPE, content_type)], body).into_response()
}
