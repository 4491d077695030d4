//! Refuses malformed requests before any route.
//!
//! A request that two parsers can read differently is refused, because a proxy can check one of two `Authorization`
//! headers and this server the other.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Version, header, uri::Authority},
};

use crate::http::error::HttpError;

/// Headers that must not repeat, because the server decides by their value.
const SINGLE: [HeaderName; 11] = [
    header::HOST,
    header::AUTHORIZATION,
    header::ORIGIN,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::UPGRADE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("x-min-library-version"),
];

/// Checks the head of a request.
///
/// # Errors
/// When a header of [`SINGLE`] repeats, or `Host` is invalid or, in HTTP/1.1, absent (RFC 9112, section 3.2).
pub(in crate::http) fn check(request: &Request) -> Result<(), HttpError> {
    let headers = request.headers();
    let is_repeated = |name: &&HeaderName| headers.get_all(*name).iter().nth(1).is_some();
    if let Some(name) = SINGLE.iter().find(is_repeated) {
        let message = format!("header `{name}` must not repeat");
        return Err(HttpError::BadRequest(message));
    }
    let message = match headers.get(header::HOST) {
        None if request.version() == Version::HTTP_11 => "HTTP/1.1 requires the header `host`",
        Some(host) if !is_host(host) => "header `host` must be a host with an optional port",
        _ => return Ok(()),
    };
    Err(HttpError::BadRequest(message.to_owned()))
}

/// Whether a value is valid as `Host`. It is empty for a target URI without an authority.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn refused(version: Version, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        check(&request).is_err()
    }

    #[test]
    fn a_header_with_one_value_must_not_repeat() {
        for name in SINGLE {
            let value = ("x-other", "a");
            let (once, twice) = ([(name.as_str(), "a"), value], [(name.as_str(), "a"); 2]);
            assert!(!refused(Version::HTTP_10, &once), "{name}");
            assert!(refused(Version::HTTP_10, &twice), "{name}");
        }
        for name in [
            "cookie",
            "accept",
            "x-forwarded-for",
            "sec-websocket-protocol",
        ] {
            assert!(
                !refused(Version::HTTP_10, &[(name, "a"), (name, "b")]),
                "{name}"
            );
        }
    }

    #[test]
    fn http_1_1_requires_a_valid_host() {
        assert!(refused(Version::HTTP_11, &[]));
        assert!(!refused(Version::HTTP_10, &[]));
        for host in [
            "x",
            "a.example:80",
            "[::1]:4000",
            "127.0.0.1:1",
            "under_score",
            "",
        ] {
            assert!(!refused(Version::HTTP_11, &[("host", host)]), "{host}");
        }
        for host in ["a b", "a/b", "user@host", "a:b:c"] {
            assert!(refused(Version::HTTP_11, &[("host", host)]), "{host}");
        }
    }
}
