//! What a route answers when it cannot answer what was asked: a status, and a body with a stable code.
//!
//! The body has the form of a GraphQL response that holds errors only, on every route, so that a client needs one
//! reader: `{"errors":[{"message":"…","extensions":{"code":"…"}}]}`.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::streams::NoPlace;
use crate::{auth::Rejection, library};

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
    NoPlace(#[from] NoPlace),
    /// The library could not answer.
    #[error("{0}")]
    Library(#[from] library::Error),
}

impl HttpError {
    /// The status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(Rejection::Unavailable)
            | Self::NoPlace(NoPlace::Node | NoPlace::Draining)
            | Self::Library(library::Error::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoPlace(NoPlace::User(_)) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoToken | Self::BadTicket | Self::Rejected(_) => StatusCode::UNAUTHORIZED,
            Self::ForbiddenOrigin | Self::Library(library::Error::UnknownUser) => {
                StatusCode::FORBIDDEN
            }
            Self::Library(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoToken | Self::BadTicket => "UNAUTHENTICATED",
            Self::NoPlace(refused) => refused.code(),
            Self::Rejected(rejection) => rejection.code(),
            Self::ForbiddenOrigin => "FORBIDDEN",
            Self::Library(error) => error.code(),
        }
    }

    /// Logs what whoever runs the server should know of; nothing of what a client did.
    pub(super) fn log(&self) {
        if let Self::Library(error) = self
            && let Some(causes) = error.causes()
        {
            tracing::error!(
                error.causes = causes,
                error.code = self.code(),
                "a request failed"
            );
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, code) = (self.status(), self.code());
        self.log();
        let body = json!({"errors": [{"message": self.to_string(), "extensions": {"code": code}}]});
        let mut response = (status, Json(body)).into_response();
        if let Self::NoPlace(refused) = self {
            let seconds = HeaderValue::from(refused.retry_after());
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 names how to sign in.
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
