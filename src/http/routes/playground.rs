//! The playground: GraphiQL at `/playground`, with all its files.
//!
//! The page requests `graphql` relative to its own path, so it also works behind a proxy's path prefix.
//!
//! **Invariant:** the page loads nothing from another host; its content security policy enforces it.

use axum::{
    Router,
    extract::Path,
    http::{
        StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

/// GraphiQL's editor and dialogs need inline styles. Inline scripts stay forbidden.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// For files without a version in their name: revalidate at each use.
const REVALIDATE: &str = "no-cache";
/// For files with a version in their name.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    cache: &'static str,
    body: &'static str,
}

macro_rules! asset {
    ($name:literal, $content_type:expr, $cache:expr) => {
        Asset {
            name: $name,
            content_type: $content_type,
            cache: $cache,
            body: include_str!(concat!("playground/assets/", $name)),
        }
    };
}

const ASSETS: &[Asset] = &[
    asset!("app.js", SCRIPT, REVALIDATE),
    asset!("app.css", STYLE, REVALIDATE),
    asset!("graphiql-4.1.2.min.js", SCRIPT, IMMUTABLE),
    asset!("graphiql-4.1.2.min.css", STYLE, IMMUTABLE),
    asset!("graphql-ws-6.4.2.min.js", SCRIPT, IMMUTABLE),
    asset!("react-18.3.1.min.js", SCRIPT, IMMUTABLE),
    asset!("react-dom-18.3.1.min.js", SCRIPT, IMMUTABLE),
    asset!("LICENSES.txt", TEXT, REVALIDATE),
];

/// Serves the page at `/playground` and its files at `/playground/assets/<name>`.
pub(in crate::http) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/playground", get(page))
        .route("/playground/assets/{name}", get(file))
}

async fn page() -> Response {
    respond(HTML, REVALIDATE, include_str!("playground/index.html"))
}

async fn file(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => respond(asset.content_type, asset.cache, asset.body),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn respond(content_type: &'static str, cache: &'static str, body: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn request(method: &str, path: &str) -> (Response<()>, String) {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let response = routes::<()>().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (Response::from_parts(parts, ()), text)
    }

    /// The values of the page's `src` and `href` attributes.
    fn references(html: &str) -> Vec<&str> {
        ["src=\"", "href=\""]
            .iter()
            .flat_map(|attribute| html.split(attribute).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .collect()
    }

    #[tokio::test]
    async fn every_file_of_the_page_is_served() {
        let (response, html) = request("GET", "/playground").await;
        assert_eq!(response.status(), StatusCode::OK);
        let files: Vec<_> = references(&html)
            .into_iter()
            .filter(|r| *r != "data:,")
            .collect();
        assert_eq!(files.len(), 7);
        for file in files {
            // Relative to the page, for a proxy's path prefix.
            assert!(file.starts_with("playground/assets/"), "{file}");
            let (response, body) = request("GET", &format!("/{file}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{file}");
            assert!(!body.is_empty(), "{file}");
        }
    }

    #[tokio::test]
    async fn only_files_with_a_version_in_their_name_are_immutable() {
        let cache = async |path| {
            let (response, _) = request("GET", path).await;
            response.headers()[CACHE_CONTROL].clone()
        };
        assert_eq!(cache("/playground").await, REVALIDATE);
        assert_eq!(cache("/playground/assets/app.js").await, REVALIDATE);
        assert_eq!(
            cache("/playground/assets/react-18.3.1.min.js").await,
            IMMUTABLE
        );
    }

    #[tokio::test]
    async fn the_policy_forbids_other_hosts_and_inline_scripts() {
        let (response, html) = request("GET", "/playground").await;
        assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!html.contains("http://") && !html.contains("https://"));
    }

    #[tokio::test]
    async fn head_has_no_body_and_an_unknown_file_is_not_found() {
        let (response, body) = request("HEAD", "/playground/assets/app.js").await;
        assert_eq!((response.status(), body.as_str()), (StatusCode::OK, ""));
        let (response, _) = request("GET", "/playground/assets/..%2findex.html").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
