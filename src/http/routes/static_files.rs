//! Serves the files of an app at `/`, such as the build of the example app.
//!
//! All other routes precede the files.
//!
//! **Invariant:** pages and service workers are revalidated at each use, so browsers get a new release at the next start.
//! Only files in `/assets/`, whose names contain a hash of their content, are immutable.
//! **Invariant:** a page loads nothing from another host; its content security policy enforces it.

use std::{convert::Infallible, io::ErrorKind, path::Path};

use axum::{
    Router,
    extract::Request,
    handler::HandlerWithoutStateExt as _,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY},
    },
    response::{IntoResponse as _, Response},
};
use tower::Service;
use tower_http::services::ServeDir;

use crate::{http::error::HttpError, library};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'",
);
/// Not `no-store`, which would keep pages out of the back/forward cache.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// Serves the files of `folder`. A missing file, and a name that no file can have, is an unknown path.
pub(in crate::http) fn service(folder: &Path) -> Router {
    let unknown = (async || HttpError::NoRoute).into_service();
    let files = ServeDir::new(folder)
        .call_fallback_on_method_not_allowed(true)
        .fallback(unknown);
    Router::new().fallback(async move |request| serve(files, request).await)
}

/// Returns a file with its headers.
async fn serve<F>(mut files: ServeDir<F>, request: Request) -> Response
where
    F: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    let is_asset = request.uri().path().starts_with("/assets/");
    let mut response = match files.try_call(request).await {
        Ok(response) => response.into_response(),
        Err(error) if error.kind() == ErrorKind::InvalidFilename => {
            HttpError::NoRoute.into_response()
        }
        Err(error) => HttpError::from(library::Error::fault(error)).into_response(),
    };
    if !response.status().is_client_error() {
        let cache = if is_asset { IMMUTABLE } else { REVALIDATE };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, cache);
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(REFERRER_POLICY, NO_REFERRER);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::{
        body::Body,
        http::{StatusCode, header},
    };
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    /// A folder with a page, a worker and an asset, and a secret beside it.
    fn app() -> tempfile::TempDir {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("app");
        fs::create_dir_all(folder.join("assets")).unwrap();
        fs::write(folder.join("index.html"), "<!doctype html>page").unwrap();
        fs::write(folder.join("sw.js"), "worker").unwrap();
        fs::write(folder.join("assets/app-1a2b.js"), "script").unwrap();
        fs::write(parent.path().join("secret"), "secret").unwrap();
        parent
    }

    async fn ask(request: axum::http::request::Builder) -> (Response<()>, String) {
        let parent = app();
        let request = request.body(Body::empty()).unwrap();
        let response = service(&parent.path().join("app"))
            .oneshot(request)
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (Response::from_parts(parts, ()), text)
    }

    #[tokio::test]
    async fn a_page_and_a_worker_are_revalidated_and_assets_are_immutable() {
        for (path, text, cache) in [
            ("/", "<!doctype html>page", REVALIDATE),
            ("/index.html", "<!doctype html>page", REVALIDATE),
            ("/sw.js", "worker", REVALIDATE),
            ("/assets/app-1a2b.js", "script", IMMUTABLE),
        ] {
            let (response, body) = ask(Request::get(path)).await;
            assert_eq!((response.status(), body.as_str()), (StatusCode::OK, text));
            assert_eq!(response.headers()[CACHE_CONTROL], cache, "{path}");
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
        }
    }

    #[tokio::test]
    async fn files_have_the_type_that_browsers_want_of_scripts() {
        for (path, kind) in [
            ("/", "text/html"),
            ("/sw.js", "text/javascript"),
            ("/assets/app-1a2b.js", "text/javascript"),
        ] {
            let (response, _) = ask(Request::get(path)).await;
            assert_eq!(response.headers()[header::CONTENT_TYPE], kind, "{path}");
        }
    }

    #[tokio::test]
    async fn an_unknown_path_has_a_code_and_is_not_cached() {
        for path in ["/missing", "/assets/missing.js", "/assets", "/api/missing"] {
            let (response, body) = ask(Request::get(path)).await;
            if response.status() == StatusCode::TEMPORARY_REDIRECT {
                continue; // A folder's address without its slash.
            }
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(body.contains("ROUTE_NOT_FOUND"), "{path}: {body}");
            assert!(!response.headers().contains_key(CACHE_CONTROL), "{path}");
        }
    }

    #[tokio::test]
    async fn a_name_that_no_file_can_have_is_an_unknown_path() {
        let long = format!("/{}", "a".repeat(256));
        let deep = "/a".repeat(3_000);
        for path in [long.as_str(), &deep, "/a%00b"] {
            let (response, body) = ask(Request::get(path)).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(body.contains("ROUTE_NOT_FOUND"), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_served() {
        for path in ["/../secret", "/%2e%2e/secret", "/assets/..%2f..%2fsecret"] {
            let (response, body) = ask(Request::get(path)).await;
            assert!(response.status().is_client_error(), "{path}: {body}");
        }
    }

    #[tokio::test]
    async fn head_has_no_body_and_other_methods_are_not_found() {
        let (response, body) = ask(Request::head("/")).await;
        assert_eq!((response.status(), body.as_str()), (StatusCode::OK, ""));
        let (response, _) = ask(Request::post("/")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
