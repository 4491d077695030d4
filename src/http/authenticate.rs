//! From a request to its viewer. The only place that authenticates a request, and it counts the viewer's rate.
//!
//! **Invariant:** no viewer leaves here uncounted, so no route can forget to.

use axum::http::{HeaderMap, Method, header, request::Parts};

use super::{error::HttpError, rate_limiter::RateLimited, state::Node};
use crate::auth::{Ask, Credential, Ticket, Viewer, bearer};

/// Headers that a page of another origin cannot set without the browser asking the server first.
const PREFLIGHTED: [&str; 3] = [
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
];

impl Node {
    /// The viewer of a request that asks for `ask`.
    ///
    /// # Errors
    /// As [`Authenticator::viewer`](super::authenticator::Authenticator::viewer); also when the viewer asks too fast.
    pub(super) async fn authenticate(
        &self,
        request: &Parts,
        ask: Ask,
    ) -> Result<Viewer, HttpError> {
        self.counted(self.authenticator.viewer(request, ask).await?)
    }

    /// The viewer of a request that opens a stream: by a token as anywhere, or by a ticket in `?ticket=`.
    ///
    /// A ticket goes before header and cookie, because the page put it there on purpose; and since no browser adds one
    /// by itself, it needs no trusted origin. HEAD leaves it unused: link checkers and proxies send HEAD before the GET.
    ///
    /// # Errors
    /// As [`Node::authenticate`]; also when there is a ticket and it does not open a stream.
    pub(super) async fn authenticate_stream(
        &self,
        request: &Parts,
        ask: Ask,
    ) -> Result<Viewer, HttpError> {
        self.counted(self.stream_viewer(request, ask).await?)
    }

    /// The viewer of a request with a GraphQL operation, whose answer may be a stream.
    ///
    /// # Errors
    /// As [`Node::authenticate_stream`]; also when a cookie comes with a GET that a browser sends for a foreign page
    /// without asking first. Such a request is not counted: its sender is not its viewer.
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
            self.stream_viewer(request, ask).await?
        } else {
            self.authenticator.viewer(request, ask).await?
        };
        if viewer.credential == Credential::Cookie && !is_post && !is_preflighted(&request.headers)
        {
            return Err(HttpError::NotPreflighted);
        }
        self.counted(viewer)
    }

    /// The viewer whose token is in the `authorization` of a `connection_init`.
    ///
    /// # Errors
    /// When it is no token, the token is not accepted, or the viewer asks too fast.
    pub(super) async fn authenticate_init(
        &self,
        authorization: Option<&str>,
    ) -> Result<Viewer, HttpError> {
        let token = authorization.and_then(bearer).ok_or(HttpError::NoToken)?;
        let verifier = &self.authenticator.verifier;
        self.counted(verifier.verify(token, Credential::Bearer).await?)
    }

    /// Counts a further operation of a viewer: of a batch, or on a socket.
    ///
    /// # Errors
    /// When it is one too many.
    pub(super) fn count_operation(&self, viewer: &Viewer) -> Result<(), RateLimited> {
        self.rate_limiter.user(&viewer.user)
    }

    fn counted(&self, viewer: Viewer) -> Result<Viewer, HttpError> {
        self.count_operation(&viewer)?;
        Ok(viewer)
    }

    async fn stream_viewer(&self, request: &Parts, ask: Ask) -> Result<Viewer, HttpError> {
        let Some(ticket) = ticket(request.uri.query().unwrap_or_default())? else {
            return self.authenticator.viewer(request, ask).await;
        };
        let ticket = Ticket::read(&ticket).ok_or(HttpError::BadTicket)?;
        if self.drain.is_cancelled() {
            // Kept for the node that the client turns to next.
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
            credential: Credential::Ticket,
        })
    }
}

/// Whether the page that sent a request is of this origin, or of one that the browser has been told about.
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
        return Err(HttpError::BadRequest("`ticket` is given twice".to_owned()));
    }
    Ok(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_found_whatever_is_escaped_in_it() {
        let found = |query| ticket(query).unwrap();
        assert_eq!(found("ticket=st_a-_b").as_deref(), Some("st_a-_b"));
        assert_eq!(found("a=1&ticket=st_%61").as_deref(), Some("st_a"));
        assert_eq!(found("Ticket=st_a&tickets=x"), None);
        assert_eq!(found("ticket=").as_deref(), Some(""));
        assert_eq!(found(""), None);
        assert!(ticket("a=1&ticket=x&ticket=y").is_err());
    }
}
