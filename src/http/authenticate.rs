//! Authentication of a request, and the rate limit of its viewer. No other module authenticates requests.
//!
//! **Invariant:** every returned viewer has been counted by the rate limiter, so a route cannot omit the limit.
//! **Invariant:** the viewer is recorded for the connection and the log even if the rate limit refuses the request.

use axum::http::{Extensions, HeaderMap, Method, header, request::Parts};

use super::{
    connection::connection_slots::Connection, device::RequestDevice, error::HttpError,
    rate_limiter::RateLimited, request_user::RequestUser, state::Node,
};
use crate::{
    auth::{Ask, Credential, Purpose, Rejection, Ticket, Viewer, bearer},
    library::Session,
    version::Head,
};

/// Headers that a page of another origin can send only after a CORS preflight.
const PREFLIGHTED: [&str; 3] = [
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
];

impl Node {
    /// Returns the viewer of a request that asks for `ask`.
    ///
    /// # Errors
    /// As [`Authenticator::viewer`](super::authenticator::Authenticator::viewer); also when the viewer exceeds the rate
    /// limit.
    pub(super) async fn authenticate(
        &self,
        request: &Parts,
        ask: Ask,
    ) -> Result<Viewer, HttpError> {
        let viewer = self.credential_viewer(request, ask).await?;
        self.admitted(request, viewer)
    }

    /// Returns the viewer of a request that opens a stream with a token or with a ticket in `?ticket=`.
    ///
    /// A ticket takes precedence over the header and the cookie, because the page sets it deliberately. It does not
    /// need a trusted origin, because browsers do not add it to requests. HEAD does not redeem it, because link
    /// checkers and proxies send HEAD before GET.
    ///
    /// # Errors
    /// As [`Node::authenticate`]; also when the ticket is invalid.
    pub(super) async fn authenticate_stream(
        &self,
        request: &Parts,
        ask: Ask,
    ) -> Result<Viewer, HttpError> {
        let viewer = self.ticket_viewer(request, ask, Purpose::Stream).await?;
        self.admitted(request, viewer)
    }

    /// Returns the viewer of a request that downloads the library with a token or with a ticket in `?ticket=`.
    ///
    /// # Errors
    /// As [`Node::authenticate_stream`].
    pub(super) async fn authenticate_export(&self, request: &Parts) -> Result<Viewer, HttpError> {
        let viewer = self
            .ticket_viewer(request, Ask::Read, Purpose::Export)
            .await?;
        self.admitted(request, viewer)
    }

    /// Returns the viewer of a request with a GraphQL operation. Its result can be a stream if `may_stream`.
    ///
    /// # Errors
    /// As [`Node::authenticate_stream`]; also for a GET with a cookie that a page of another origin can cause without a
    /// CORS preflight. That request is not counted, because the viewer may not have sent it.
    pub(super) async fn authenticate_operation(
        &self,
        request: &Parts,
        may_stream: bool,
    ) -> Result<Viewer, HttpError> {
        let is_post = request.method == Method::POST;
        let ask = match (is_post, may_stream) {
            (true, _) => Ask::Change,
            (false, true) => Ask::Stream,
            (false, false) => Ask::Read,
        };
        let viewer = if may_stream {
            self.ticket_viewer(request, ask, Purpose::Stream).await?
        } else {
            self.credential_viewer(request, ask).await?
        };
        if viewer.credential == Credential::Cookie && !is_post && !is_preflighted(&request.headers)
        {
            return Err(HttpError::NotPreflighted);
        }
        self.admitted(request, viewer)
    }

    /// Returns the viewer of the token in `authorization` of a `connection_init`, which names `device`.
    ///
    /// # Errors
    /// When the token is missing or invalid, or the viewer exceeds the rate limit.
    pub(super) async fn authenticate_init(
        &self,
        authorization: Option<&str>,
        device: &RequestDevice,
    ) -> Result<Viewer, HttpError> {
        let token = authorization.and_then(bearer).ok_or(HttpError::NoToken)?;
        let verifier = &self.authenticator.verifier;
        let viewer = verifier.verify(token, Credential::Bearer).await;
        if viewer == Err(Rejection::Expired)
            && device.id().is_some()
            && let Some(user) = verifier.user_of_expired(token).await
        {
            self.note_ended_token(&user, device);
        }
        self.counted(viewer?)
    }

    /// Checks that an operator sends the request, and protects its connection from eviction. An operator has no viewer, so
    /// only the rate limit of the address applies.
    ///
    /// # Errors
    /// When the token is missing or wrong, without saying which.
    pub(super) fn authenticate_operator(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<(), HttpError> {
        let token = self.settings.admin_token.as_ref();
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| bearer(value.to_str().ok()?));
        let is_admitted = token
            .zip(given)
            .is_some_and(|(token, given)| token.admits(given));
        if !is_admitted {
            return Err(HttpError::NoOperator);
        }
        if let Some(connection) = Connection::of(extensions) {
            connection.authenticate();
        }
        Ok(())
    }

    /// Returns the head of a viewer, given the head that they claim to have received, and records what the headers say of
    /// their device.
    ///
    /// # Errors
    /// When a header is invalid or the session is signed out, and as
    /// [`Library::head`](crate::library::Library::head).
    pub(super) async fn viewer_head(
        &self,
        viewer: &Viewer,
        headers: &HeaderMap,
        claims: Option<Head>,
    ) -> Result<Head, HttpError> {
        let device = RequestDevice::of_headers(headers)?;
        let session = Session::new(&viewer.user, viewer.issued_at);
        let head = self.library.head_given(session, claims).await?;
        self.note_device(viewer, &device);
        Ok(head)
    }

    /// Counts one more operation of a viewer, in a batch or on a WebSocket.
    ///
    /// # Errors
    /// When the viewer exceeds the rate limit.
    pub(super) fn count_operation(&self, viewer: &Viewer) -> Result<(), RateLimited> {
        self.rate_limiter.user(&viewer.user)
    }

    /// Records the viewer for the log, protects the connection from eviction, and counts the request.
    fn admitted(&self, request: &Parts, viewer: Viewer) -> Result<Viewer, HttpError> {
        if let Some(connection) = Connection::of(&request.extensions) {
            connection.authenticate();
        }
        if let Some(user) = request.extensions.get::<RequestUser>() {
            user.set(&viewer.user);
        }
        self.counted(viewer)
    }

    fn counted(&self, viewer: Viewer) -> Result<Viewer, HttpError> {
        self.count_operation(&viewer)?;
        Ok(viewer)
    }

    /// Returns the viewer of the request's token or session. If that has expired, records it for the device of the
    /// request.
    async fn credential_viewer(&self, request: &Parts, ask: Ask) -> Result<Viewer, HttpError> {
        let viewer = self.authenticator.viewer(request, ask).await;
        if let Err(HttpError::Rejected(Rejection::Expired)) = &viewer
            && let Ok(device) = RequestDevice::of_stream(request)
            && device.id().is_some()
            && let Some(user) = self.authenticator.user_of_expired(&request.headers).await
        {
            self.note_ended_token(&user, &device);
        }
        viewer
    }

    async fn ticket_viewer(
        &self,
        request: &Parts,
        ask: Ask,
        purpose: Purpose,
    ) -> Result<Viewer, HttpError> {
        let Some(ticket) = ticket(request.uri.query().unwrap_or_default())? else {
            return self.credential_viewer(request, ask).await;
        };
        let ticket = Ticket::read(&ticket, purpose).ok_or(HttpError::BadTicket)?;
        if self.drain.is_cancelled() {
            // The ticket is not redeemed, so that the client can use it on another node.
            return Err(self.streams.draining().into());
        }
        let kept = match request.method {
            Method::HEAD => self.library.find_ticket(ticket.digest()).await?,
            _ => self.library.redeem_ticket(ticket.digest()).await?,
        };
        let kept = kept.ok_or(HttpError::BadTicket)?;
        Ok(Viewer {
            user: kept.user,
            expires_at: kept.expires_at,
            issued_at: kept.issued_at,
            credential: Credential::Ticket,
        })
    }
}

/// Whether the request is same-origin, or has a header that a browser sends only with CORS.
fn is_preflighted(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site == "same-origin")
        || headers.contains_key(header::ORIGIN)
        || PREFLIGHTED.iter().any(|name| headers.contains_key(*name))
}

fn ticket(query: &str) -> Result<Option<String>, HttpError> {
    let parameters = url::form_urlencoded::parse(query.as_bytes());
    let mut tickets = parameters.filter(|(name, _)| name == "ticket");
    let ticket = tickets.next().map(|(_, ticket)| ticket.into_owned());
    if tickets.next().is_some() {
        return Err(HttpError::BadRequest(
            "parameter `ticket` must not repeat".to_owned(),
        ));
    }
    Ok(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_ticket_is_found() {
        let found = |query| ticket(query).unwrap();
        assert_eq!(found("ticket=st_a-_b").as_deref(), Some("st_a-_b"));
        assert_eq!(found("a=1&ticket=st_%61").as_deref(), Some("st_a"));
        assert_eq!(found("Ticket=st_a&tickets=x"), None);
        assert_eq!(found("ticket=").as_deref(), Some(""));
        assert_eq!(found(""), None);
        assert!(ticket("a=1&ticket=x&ticket=y").is_err());
    }
}
