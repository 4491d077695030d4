//! The viewer of a stream: a token as anywhere, or a ticket in `?ticket=`, which only streams accept.

use axum::http::{Method, request::Parts};

use super::{error::HttpError, state::Node};
use crate::auth::{Ask, Credential, Ticket, Viewer};

impl Node {
    /// The viewer of a request that opens a stream.
    ///
    /// A ticket goes before header and cookie, because the page put it there on purpose; and since no browser adds one
    /// by itself, it needs no trusted origin. HEAD leaves it unused: link checkers and proxies send HEAD before the GET.
    ///
    /// # Errors
    /// As [`Gate::viewer`](super::authenticate::Gate::viewer); also when there is a ticket and it does not open a stream.
    pub(super) async fn stream_viewer(
        &self,
        request: &Parts,
        ask: Ask,
    ) -> Result<Viewer, HttpError> {
        let Some(ticket) = ticket(request.uri.query().unwrap_or_default())? else {
            return self.gate.viewer(request, ask).await;
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
