//! What a route answers when it cannot answer what was asked: a status, and a body with a stable code.
//!
//! The body has the form of a GraphQL response that holds errors only, on every route, so that a client needs one
//! reader: `{"errors":[{"message":"…","extensions":{"code":"…"}}]}`.

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::counter;
use serde_json::json;

use super::{
    graphql::websocket::pending_sockets::TooManyPending, rate_limiter::RateLimited,
    streams::registry::StreamRefused,
};
use crate::{auth::Rejection, graphql::Malformed, library};

/// When it makes sense to try again while the database or the key server does not answer, in seconds.
pub(super) const OUTAGE: u32 = 5;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Neither a bearer token nor a session cookie.
    #[error(
        "sign in: send a token as `Authorization: Bearer`, in the session cookie, or as a ticket"
    )]
    NoToken,
    /// A token that is not accepted.
    #[error("{0}")]
    Rejected(#[from] Rejection),
    /// A cookie sent by a page of an origin that is not allowed.
    #[error("this origin may not use the session cookie")]
    ForbiddenOrigin,
    /// A ticket that does not open a stream.
    #[error("the ticket has been used, has lapsed, or never was")]
    BadTicket,
    /// No place for one more stream.
    #[error("{0}")]
    StreamRefused(#[from] StreamRefused),
    /// Too many WebSockets that are not acknowledged.
    #[error("{0}")]
    TooManyPending(#[from] TooManyPending),
    /// More requests than are allowed in so short a time.
    #[error("{0}")]
    RateLimited(#[from] RateLimited),
    /// A cookie on a request that a browser sends for any page without asking first.
    #[error(
        "with a cookie, a GET needs a header such as `GraphQL-Require-Preflight: 1`, or the page's own origin"
    )]
    NotPreflighted,
    /// A request that is not well-formed.
    #[error("{0}")]
    BadRequest(String),
    /// As many operations at once as are not allowed.
    #[error("{}", too_many_at_once(*.0))]
    Batch(usize),
    /// None of the forms that the client takes.
    #[error("the answer is `application/graphql-response+json` or `application/json`")]
    NotAcceptable,
    /// A connection for which there is no place, so that it can ask for the health of the node and nothing else.
    #[error("this server has as many connections open as it may; try again soon")]
    Full,
    /// A path that leads nowhere.
    #[error("there is nothing at this path")]
    NoRoute,
    /// A WebSocket of another version than there is.
    #[error("a WebSocket must be opened by HTTP/1.1, in version 13")]
    UpgradeRequired,
    /// A method that the route has not, or not for this operation. Holds those it has.
    #[error("this needs another method: {0}")]
    Method(&'static str),
    /// A body that is not JSON.
    #[error("the body must be `application/json` in UTF-8, without a content coding")]
    UnsupportedMediaType,
    /// A body of more bytes than this.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// A body that does not come.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The library could not answer.
    #[error("{0}")]
    Library(#[from] library::Error),
}

impl HttpError {
    /// The status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(rejection) if rejection.is_temporary() => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::StreamRefused(StreamRefused::Node | StreamRefused::Draining(_))
            | Self::Full
            | Self::Library(library::Error::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::StreamRefused(StreamRefused::User(_))
            | Self::TooManyPending(_)
            | Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoToken | Self::BadTicket | Self::Rejected(_) => StatusCode::UNAUTHORIZED,
            Self::ForbiddenOrigin
            | Self::NotPreflighted
            | Self::Library(library::Error::UnknownUser) => StatusCode::FORBIDDEN,
            Self::BadRequest(_) | Self::Batch(_) => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Library(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoToken | Self::BadTicket => "UNAUTHENTICATED",
            Self::StreamRefused(refused) => refused.code(),
            Self::TooManyPending(_) => "TOO_MANY_PENDING_SOCKETS",
            Self::RateLimited(_) => "TOO_MANY_REQUESTS",
            Self::Rejected(rejection) => rejection.code(),
            Self::ForbiddenOrigin | Self::NotPreflighted => "FORBIDDEN",
            Self::BadRequest(_) => "BAD_REQUEST",
            Self::Batch(_) => "BATCH_TOO_LARGE",
            Self::Full => "UNAVAILABLE",
            Self::NoRoute => "ROUTE_NOT_FOUND",
            Self::UpgradeRequired => "UPGRADE_REQUIRED",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::Method(_) => "METHOD_NOT_ALLOWED",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::TooLarge(_) => "PAYLOAD_TOO_LARGE",
            Self::TooSlow => "REQUEST_TIMEOUT",
            Self::Library(error) => error.code(),
        }
    }

    /// Whether it is the server's state and passes by itself.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Rejected(rejection) => rejection.is_temporary(),
            Self::StreamRefused(StreamRefused::Draining(_))
            | Self::Library(library::Error::Unavailable(_)) => true,
            _ => false,
        }
    }

    /// How to sign in, which every 401 says (RFC 9110, section 11.6.1), and what is wrong with the credential that was
    /// sent, if one was (RFC 6750, section 3).
    fn challenge(&self) -> HeaderValue {
        let invalid = |why: &dyn std::fmt::Display| {
            let challenge = format!(r#"Bearer error="invalid_token", error_description="{why}""#);
            HeaderValue::try_from(challenge).ok()
        };
        let challenge = match self {
            Self::Rejected(rejection) => invalid(rejection),
            Self::BadTicket => invalid(self),
            _ => None,
        };
        challenge.unwrap_or(HeaderValue::from_static("Bearer"))
    }

    /// Logs what whoever runs the server should know of; nothing of what a client did.
    pub(super) fn log(&self) {
        if let Self::Library(error) = self
            && let Some(causes) = error.causes()
        {
            let code = self.code();
            if error.is_outage() {
                tracing::debug!(error.causes = causes, error.code = code, "a request failed");
            } else {
                tracing::error!(error.causes = causes, error.code = code, "a request failed");
            }
        }
    }
}

impl HttpError {
    /// What the status wants said in headers: when to try again, what is allowed, that the connection ends.
    fn add_headers(self, headers: &mut HeaderMap) {
        match self {
            Self::StreamRefused(refused) => {
                headers.insert(header::RETRY_AFTER, refused.retry_after().into());
            }
            Self::RateLimited(RateLimited(wait)) => {
                headers.insert(header::RETRY_AFTER, wait.as_secs().into());
            }
            Self::Rejected(Rejection::UnknownKey(wait)) => {
                headers.insert(header::RETRY_AFTER, wait.into());
            }
            Self::Rejected(Rejection::Unavailable)
            | Self::Full
            | Self::Library(library::Error::Unavailable(_)) => {
                headers.insert(header::RETRY_AFTER, OUTAGE.into());
            }
            // RFC 9110, section 15.5.6: a 405 names what is allowed.
            Self::Method(allowed) => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            // A connection that is kept costs a stranger as little as a socket would.
            Self::TooManyPending(_) => {
                headers.insert(header::RETRY_AFTER, OUTAGE.into());
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // The rest of the body is not read, so the connection ends; a client that did not know could send its next
            // request into the end (RFC 9112, section 9.6).
            Self::TooLarge(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            // RFC 6455, section 4.2.2, and RFC 9110, section 15.5.22: a 426 names what is spoken.
            Self::UpgradeRequired => {
                let spoken = [
                    (header::SEC_WEBSOCKET_VERSION, "13"),
                    (header::UPGRADE, "websocket"),
                    (header::CONNECTION, "upgrade"),
                ];
                for (name, value) in spoken {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            _ => {}
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, code) = (self.status(), self.code());
        let challenge = self.challenge();
        counter!("library_sync_errors_total", "code" => code).increment(1);
        self.log();
        let body = json!({"errors": [{"message": self.to_string(), "extensions": {"code": code}}]});
        let mut response = (status, Json(body)).into_response();
        self.add_headers(response.headers_mut());
        if status == StatusCode::UNAUTHORIZED {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn too_many_at_once(limit: usize) -> String {
    match limit {
        0 => "this server takes no batches; send one operation a request".to_owned(),
        limit => format!("this server takes batches of at most {limit} operations"),
    }
}

impl From<Malformed> for HttpError {
    fn from(malformed: Malformed) -> Self {
        Self::BadRequest(malformed.to_string())
    }
}

/// What is answered when a handler panicked, which was reported where it arose.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    HttpError::Library(library::Error::fault("a handler panicked")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_401_says_how_to_sign_in_and_what_is_wrong_with_a_token_that_was_sent() {
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
                r#"Bearer error="invalid_token", error_description="the ticket has been used, has lapsed, or never was""#,
            ),
        ] {
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
        }
    }

    #[test]
    fn a_key_that_cannot_be_asked_for_yet_is_no_401_and_says_when_to_come_back() {
        for (rejection, wait) in [
            (Rejection::UnknownKey(17), "17"),
            (Rejection::Unavailable, "5"),
        ] {
            let error = HttpError::from(rejection);
            assert!(error.passes());
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], wait);
        }
    }
}
