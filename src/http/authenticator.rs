//! [`Authenticator`]: finds the token of a request and verifies it.
//!
//! **Invariant:** a request is served for exactly one viewer, or refused. An invalid token is never replaced by another
//! credential of the same request.

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};

use super::error::HttpError;
use crate::{
    auth::{
        Ask, AuthjsSession, AuthjsSessions, Credential, Origins, Rejection, Verifier, Viewer,
        bearer, find_cookie,
    },
    version::UserId,
};

/// Authenticates requests by bearer token or session cookie.
pub struct Authenticator {
    /// Verifies tokens.
    pub verifier: Verifier,
    /// Origins whose pages are allowed to use the session cookie.
    pub origins: Origins,
    /// Name of the cookie that holds a token. `None` disables cookies.
    pub session_cookie: Option<String>,
    /// Verifies the session cookies of an Auth.js app. `None` ignores them.
    pub authjs_sessions: Option<AuthjsSessions>,
}

/// The credential in a request's cookies.
enum SessionCookie<'r> {
    Token(&'r [u8]),
    Authjs(AuthjsSession<'r>),
}

impl Authenticator {
    /// Returns the viewer of a request that asks for `ask`.
    ///
    /// # Errors
    /// When the token is missing or invalid, or the request's origin is not allowed to use the cookie.
    pub async fn viewer(&self, request: &Parts, ask: Ask) -> Result<Viewer, HttpError> {
        if let Some(authorization) = request.headers.get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(bearer);
            let token = token.ok_or(HttpError::NoToken)?;
            return Ok(self.verifier.verify(token, Credential::Bearer).await?);
        }
        let cookie = self.cookie(&request.headers).ok_or(HttpError::NoToken)?;
        if !self.admits(&request.headers, ask) {
            return Err(HttpError::ForbiddenOrigin);
        }
        match cookie {
            SessionCookie::Token(token) => {
                let token = std::str::from_utf8(token).map_err(|_| Rejection::Malformed)?;
                Ok(self.verifier.verify(token, Credential::Cookie).await?)
            }
            SessionCookie::Authjs(session) => Ok(session.verify()?),
        }
    }

    /// Returns the user of a request whose token or session is genuine and has expired.
    pub async fn user_of_expired(&self, headers: &HeaderMap) -> Option<UserId> {
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(bearer)?;
            return self.verifier.user_of_expired(token).await;
        }
        match self.cookie(headers)? {
            SessionCookie::Token(token) => {
                let token = std::str::from_utf8(token).ok()?;
                self.verifier.user_of_expired(token).await
            }
            SessionCookie::Authjs(session) => session.user_of_expired(),
        }
    }

    /// Finds the cookie that counts: the one of `--session-cookie`, or else the one of Auth.js.
    fn cookie<'r>(&'r self, headers: &'r HeaderMap) -> Option<SessionCookie<'r>> {
        let headers = headers.get_all(header::COOKIE).iter();
        let headers: Vec<_> = headers.map(HeaderValue::as_bytes).collect();
        let name = self.session_cookie.as_deref();
        if let Some(token) = name.and_then(|name| find_cookie(headers.iter().copied(), name)) {
            return Some(SessionCookie::Token(token));
        }
        let session = self.authjs_sessions.as_ref()?.find(&headers)?;
        Some(SessionCookie::Authjs(session))
    }

    fn admits(&self, headers: &HeaderMap, ask: Ask) -> bool {
        // A header that is not text counts as present and empty, because an absent `Origin` can be admitted.
        let value = |name: &str| Some(headers.get(name)?.to_str().unwrap_or_default());
        self.origins
            .admits(ask, value("origin"), value("sec-fetch-site"), value("host"))
    }
}
