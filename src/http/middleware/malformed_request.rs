//! Requests that HTTP calls malformed, refused before any route looks at them.
//!
//! What two parsers on the way could read differently is refused, and not guessed at: of two `Authorization` headers a
//! proxy may check the one and this server the other.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Version, header, uri::Authority},
};

use crate::http::error::HttpError;

/// The headers that have one value and that something here decides by.
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
/// When a header is given twice that has one value, or HTTP/1.1 comes without the host (RFC 9112, section 3.2).
pub(in crate::http) fn check(request: &Request) -> Result<(), HttpError> {
    let headers = request.headers();
    for name in &SINGLE {
        if headers.get_all(name).iter().nth(1).is_some() {
            let message = format!("the header `{name}` is given more than once");
            return Err(HttpError::BadRequest(message));
        }
    }
    match headers.get(header::HOST) {
        None if request.version() == Version::HTTP_11 => {
            let message = "HTTP/1.1 needs the header `host`";
            Err(HttpError::BadRequest(message.to_owned()))
        }
        Some(host) if !is_host(host) => {
            let message = "the header `host` is not a host and perhaps a port";
            Err(HttpError::BadRequest(message.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Whether a value may stand in `Host`. It is empty where the address has no host.
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
    fn every_header_of_one_value_is_given_once() {
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
    fn http_1_1_names_the_host() {
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
