//! Encodes the head of a response that hyper does not write, in the form in which hyper would.
//!
//! **Invariant:** the head and the chunks frame the body the same way.

use std::{io::Write as _, time::SystemTime};

use axum::http::{HeaderMap, StatusCode, Version};

/// How the body of a stream is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// The chunked transfer coding (RFC 9112, section 7.1).
    Chunked,
    /// By the close of the connection. HTTP/1.0 has no transfer codings.
    Close,
}

impl BodyFraming {
    /// Returns the framing for a client of this version.
    pub fn of(version: Version) -> Self {
        if version == Version::HTTP_10 {
            Self::Close
        } else {
            Self::Chunked
        }
    }

    /// Encodes the head of a response.
    pub fn head(self, status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
        let version = match self {
            Self::Chunked => "HTTP/1.1",
            Self::Close => "HTTP/1.0",
        };
        let reason = status.canonical_reason().unwrap_or_default();
        let mut head = format!("{version} {} {reason}\r\n", status.as_str()).into_bytes();
        for (name, value) in headers {
            let start = head.len();
            head.extend_from_slice(name.as_str().as_bytes());
            title_case(&mut head[start..]);
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        if self == Self::Chunked {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        let date = httpdate::fmt_http_date(SystemTime::now());
        head.extend_from_slice(format!("Date: {date}\r\n\r\n").as_bytes());
        head
    }

    /// Appends a part of the body, which must not be empty.
    pub fn chunk(self, bytes: &[u8], to: &mut Vec<u8>) {
        match self {
            Self::Chunked => {
                // Writing to a `Vec` does not fail.
                let _ = write!(to, "{:x}\r\n", bytes.len());
                to.extend_from_slice(bytes);
                to.extend_from_slice(b"\r\n");
            }
            Self::Close => to.extend_from_slice(bytes),
        }
    }

    /// Appends the end of the body.
    pub fn end(self, to: &mut Vec<u8>) {
        if self == Self::Chunked {
            to.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// Converts a header name to the case in which hyper writes names with `title_case_headers`.
fn title_case(name: &mut [u8]) {
    for word in name.split_mut(|byte| *byte == b'-') {
        if let Some(first) = word.first_mut() {
            first.make_ascii_uppercase();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue, header};

    use super::*;

    fn head(version: Version) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/event-stream"),
            (HeaderName::from_static("x-accel-buffering"), "no"),
            (header::VARY, "origin"),
            (header::VARY, "accept"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let head = BodyFraming::of(version).head(StatusCode::OK, &headers);
        let head = String::from_utf8(head).unwrap();
        let (head, date) = head.split_once("Date: ").unwrap();
        assert!(httpdate::parse_http_date(date.strip_suffix("\r\n\r\n").unwrap()).is_ok());
        head.to_owned()
    }

    #[test]
    fn a_head_has_the_form_of_hypers() {
        let headers = "Content-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nVary: origin\r\nVary: accept\r\n";
        assert_eq!(
            head(Version::HTTP_11),
            format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n")
        );
        assert_eq!(
            head(Version::HTTP_10),
            format!("HTTP/1.0 200 OK\r\n{headers}")
        );
    }

    #[test]
    fn a_body_is_chunked_unless_the_client_speaks_http_1_0() {
        for (version, expected) in [
            (
                Version::HTTP_11,
                "3\r\none\r\n11\r\nseventeen letters\r\n0\r\n\r\n",
            ),
            (Version::HTTP_10, "oneseventeen letters"),
        ] {
            let (framing, mut body) = (BodyFraming::of(version), Vec::new());
            framing.chunk(b"one", &mut body);
            framing.chunk(b"seventeen letters", &mut body);
            framing.end(&mut body);
            assert_eq!(String::from_utf8(body).unwrap(), expected);
        }
    }
}
