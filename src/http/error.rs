//! [`HttpError`]: the refusals of all routes, each with a status and a stable code.
//!
//! Every route answers with the body of a GraphQL response with errors only, so clients need one parser:
//! `{"errors":[{"message":"…","extensions":{"code":"…"}}]}`. The tRPC route is the exception, for tRPC's clients.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::counter;
use serde_json::json;

use super::{
    graphql::websocket::pending_sockets::TooManyPending, rate_limiter::RateLimited,
    streams::registry::StreamRefused,
};
use crate::{auth::Rejection, graphql::Malformed, library, version::UserId};

/// `Retry-After` during an outage of the database or the key server, in seconds.
pub(super) const OUTAGE: u32 = 5;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No credential.
    #[error(
        "sign in: send a token as `Authorization: Bearer`, in the session cookie, or as a ticket"
    )]
    NoToken,
    /// No token of operators, or a wrong one.
    #[error("the token of operators is missing or rejected; send it as `Authorization: Bearer`")]
    NoOperator,
    /// A user or a device that the operator named and that does not exist.
    #[error("{0}")]
    NotFound(&'static str),
    /// A token that is not accepted.
    #[error("{0}")]
    Rejected(#[from] Rejection),
    /// A cookie from a page of an origin that is not allowed.
    #[error("origin not allowed to use the session cookie")]
    ForbiddenOrigin,
    /// A ticket that does not open a stream.
    #[error("invalid, expired or already used ticket")]
    BadTicket,
    /// A limit of streams is reached, or the node is stopping.
    #[error("{0}")]
    StreamRefused(#[from] StreamRefused),
    /// Too many WebSockets before `connection_ack`.
    #[error("{0}")]
    TooManyPending(#[from] TooManyPending),
    /// A request over the rate limit.
    #[error("{0}")]
    RateLimited(#[from] RateLimited),
    /// A GET with a cookie that a browser sends for a foreign page without a CORS preflight.
    #[error(
        "a GET with the session cookie requires a header such as `GraphQL-Require-Preflight: 1`, or a same-origin page"
    )]
    NotPreflighted,
    /// A malformed request.
    #[error("{0}")]
    BadRequest(String),
    /// A batch over the limit, which it holds.
    #[error("{}", batch_too_large(*.0))]
    Batch(usize),
    /// No media type in `Accept` that the route can send.
    #[error("`Accept` must allow `application/graphql-response+json` or `application/json`")]
    NotAcceptable,
    /// A request other than a health check, on a connection over the limit.
    #[error("the server has reached its limit of connections; retry later")]
    Full,
    /// The same, because the client's address has reached its share of connections.
    #[error("this address has reached its limit of connections; close some, or retry later")]
    TooManyConnections,
    /// An unknown path.
    #[error("path not found")]
    NoRoute,
    /// A WebSocket upgrade of another version.
    #[error("a WebSocket upgrade requires HTTP/1.1 and WebSocket version 13")]
    UpgradeRequired,
    /// A method that the route or the operation does not support. Holds the supported methods.
    #[error("method not allowed; use {0}")]
    Method(&'static str),
    /// A body that is not JSON.
    #[error("the request body must be `application/json` in UTF-8 without `Content-Encoding`")]
    UnsupportedMediaType,
    /// A body over the limit, which it holds in bytes.
    #[error("the request body exceeds the limit of {0} bytes")]
    TooLarge(usize),
    /// A body that takes too long.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// A failure of the library.
    #[error("{0}")]
    Library(#[from] library::Error),
}

impl HttpError {
    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status_and_code().0
    }

    /// Returns the stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken | Self::NoOperator | Self::BadTicket => {
                (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED")
            }
            Self::Rejected(rejection) if rejection.is_temporary() => {
                (StatusCode::SERVICE_UNAVAILABLE, rejection.code())
            }
            Self::Rejected(rejection) => (StatusCode::UNAUTHORIZED, rejection.code()),
            Self::ForbiddenOrigin | Self::NotPreflighted => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::StreamRefused(refused @ StreamRefused::User(_)) => {
                (StatusCode::TOO_MANY_REQUESTS, refused.code())
            }
            Self::StreamRefused(refused) => (StatusCode::SERVICE_UNAVAILABLE, refused.code()),
            Self::TooManyPending(_) => (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_PENDING_SOCKETS"),
            Self::TooManyConnections => (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_CONNECTIONS"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
            Self::Batch(_) => (StatusCode::BAD_REQUEST, "BATCH_TOO_LARGE"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND"),
            Self::UpgradeRequired => (StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")
            }
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
            Self::Library(error) => (library_status(error), error.code()),
        }
    }

    /// Whether the cause is temporary state of the server.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.is_temporary(),
            Self::StreamRefused(StreamRefused::Draining(_))
            | Self::Library(library::Error::Unavailable(_)) => true,
            _ => false,
        }
    }

    /// Returns `WWW-Authenticate` for a 401 (RFC 9110, section 11.6.1), with the error of the credential that was sent
    /// (RFC 6750, section 3).
    fn challenge(&self) -> HeaderValue {
        let error = match self {
            Self::Rejected(_) | Self::BadTicket | Self::Library(library::Error::SignedOut) => {
                HeaderValue::try_from(format!(
                    r#"Bearer error="invalid_token", error_description="{self}""#
                ))
                .ok()
            }
            _ => None,
        };
        error.unwrap_or(HeaderValue::from_static("Bearer"))
    }

    /// Returns `Retry-After`, in seconds.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::StreamRefused(refused) => Some(refused.retry_after().into()),
            Self::RateLimited(RateLimited(wait)) => Some(wait.as_secs()),
            Self::Rejected(Rejection::UnknownKey(seconds)) => Some((*seconds).into()),
            Self::Rejected(Rejection::Unavailable)
            | Self::Full
            | Self::TooManyConnections
            | Self::TooManyPending(_)
            | Self::Library(library::Error::Unavailable(_)) => Some(OUTAGE.into()),
            _ => None,
        }
    }

    /// Returns the failure of the server to log. `None` for client errors.
    pub(super) fn fault(&self) -> Option<Fault> {
        let Self::Library(error) = self else {
            return None;
        };
        Some(Fault {
            causes: error.causes()?,
            code: self.code(),
            is_outage: error.is_outage(),
        })
    }
}

/// What an error response says. The response carries it to routes whose clients read another body.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// The stable code.
    pub code: &'static str,
    /// The sentence.
    pub message: String,
}

/// A failure of the server, for the log. The response carries it to the request log, which knows the user.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// The error chain, outermost first.
    causes: String,
    code: &'static str,
    /// Whether the outage as a whole is logged elsewhere, once.
    is_outage: bool,
}

impl Fault {
    /// Logs the failure with the user, if known.
    pub fn log(&self, user: Option<&UserId>) {
        let Self { causes, code, .. } = self;
        let user = user.map(UserId::as_str);
        if self.is_outage {
            tracing::debug!(
                user.id = user,
                error.causes = causes,
                error.code = code,
                "request failed"
            );
        } else {
            tracing::error!(
                user.id = user,
                error.causes = causes,
                error.code = code,
                "request failed"
            );
        }
    }
}

fn library_status(error: &library::Error) -> StatusCode {
    match error {
        library::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        library::Error::UnknownUser => StatusCode::FORBIDDEN,
        library::Error::SignedOut => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        counter!("library_sync_errors_total", "code" => code).increment(1);
        let fault = self.fault();
        let message = self.to_string();
        let body = json!({"errors": [{"message": message, "extensions": {"code": code}}]});
        let mut response = (status, Json(body)).into_response();
        response.extensions_mut().insert(Refusal { code, message });
        if let Some(fault) = fault {
            response.extensions_mut().insert(fault);
        }
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, self.challenge());
        }
        let fixed: &[_] = match self {
            // RFC 9110, section 15.5.6: a 405 names the allowed methods.
            Self::Method(allowed) => &[(header::ALLOW, allowed)],
            // A refused socket must not leave a connection behind. The rest of a long body is not read, so the next
            // request on its connection could be lost (RFC 9112, section 9.6).
            Self::TooManyPending(_) | Self::TooLarge(_) => &[(header::CONNECTION, "close")],
            // RFC 6455, section 4.2.2, and RFC 9110, section 15.5.22: a 426 names the supported protocol.
            Self::UpgradeRequired => &[
                (header::SEC_WEBSOCKET_VERSION, "13"),
                (header::UPGRADE, "websocket"),
                (header::CONNECTION, "upgrade"),
            ],
            _ => &[],
        };
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn batch_too_large(limit: usize) -> String {
    match limit {
        0 => "batching is disabled; send one operation per request".to_owned(),
        limit => format!("the batch exceeds the limit of {limit} operations"),
    }
}

impl From<Malformed> for HttpError {
    fn from(malformed: Malformed) -> Self {
        Self::BadRequest(malformed.to_string())
    }
}

/// Answers for a handler that panicked. The panic hook has logged the panic.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    HttpError::Library(library::Error::fault("a handler panicked")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_401_has_a_challenge_with_the_error_of_the_token() {
        for (error, challenge) in [
            (HttpError::NoToken, "Bearer"),
            (
                Rejection::Expired.into(),
                r#"Bearer error="invalid_token", error_description="the token has expired""#,
            ),
            (
                Rejection::MissingClaim("exp").into(),
                r#"Bearer error="invalid_token", error_description="the token lacks the claim `exp`""#,
            ),
            (
                HttpError::BadTicket,
                r#"Bearer error="invalid_token", error_description="invalid, expired or already used ticket""#,
            ),
        ] {
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
        }
    }

    #[test]
    fn a_key_that_cannot_be_fetched_yet_is_a_503_with_retry_after() {
        for (rejection, wait) in [
            (Rejection::UnknownKey(17), "17"),
            (Rejection::Unavailable, "5"),
        ] {
            let error = HttpError::from(rejection);
            assert!(error.is_temporary());
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], wait);
        }
    }
}
