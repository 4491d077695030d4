//! [`Authenticator`]: finds the token of a request, and verifies it.
//!
//! **Invariant:** a request is served for exactly one viewer or refused. A token that is present but not accepted is
//! never passed over in favour of another.

use axum::http::{HeaderMap, HeaderValue, header, request::Parts};

use super::error::HttpError;
use crate::auth::{Ask, Credential, Origins, Rejection, Verifier, Viewer, bearer, find_cookie};

/// Decides who is calling.
pub struct Authenticator {
    /// Checks tokens.
    pub verifier: Verifier,
    /// The origins whose pages may use the session cookie.
    pub origins: Origins,
    /// The name of the cookie that holds a token; none when cookies are not used.
    pub session_cookie: Option<String>,
}

impl Authenticator {
    /// The viewer of a request that asks for `ask`.
    ///
    /// # Errors
    /// When there is no token, it is not accepted, or a cookie comes from a page that may not use it.
    pub async fn viewer(&self, request: &Parts, ask: Ask) -> Result<Viewer, HttpError> {
        if let Some(authorization) = request.headers.get(header::AUTHORIZATION) {
            let token = authorization
                .to_str()
                .ok()
                .and_then(bearer)
                .ok_or(HttpError::NoToken)?;
            return Ok(self.verifier.verify(token, Credential::Bearer).await?);
        }
        let cookie = self.cookie(&request.headers).ok_or(HttpError::NoToken)?;
        if !self.admits(&request.headers, ask) {
            return Err(HttpError::ForbiddenOrigin);
        }
        // A token is ASCII; what is not even text is no token.
        let token = std::str::from_utf8(cookie).map_err(|_| Rejection::Malformed)?;
        Ok(self.verifier.verify(token, Credential::Cookie).await?)
    }

    fn cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        let name = self.session_cookie.as_deref()?;
        let headers = headers.get_all(header::COOKIE).iter();
        find_cookie(headers.map(HeaderValue::as_bytes), name)
    }

    fn admits(&self, headers: &HeaderMap, ask: Ask) -> bool {
        // What is no text is no origin, rather than none given.
        let value = |name: &str| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap_or_default())
        };
        self.origins
            .admits(ask, value("origin"), value("sec-fetch-site"), value("host"))
    }
}
