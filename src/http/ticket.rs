//! The viewer of a stream: a token as anywhere, or a ticket in `?ticket=`, which only streams accept.

use axum::http::request::Parts;

use super::{HttpError, Node};
use crate::auth::{Ask, Credential, Ticket, Viewer};

impl Node {
    /// The viewer of a request that opens a stream.
    ///
    /// A ticket goes before header and cookie, because the page put it there on purpose; and since no browser adds one
    /// by itself, it needs no trusted origin.
    ///
    /// # Errors
    /// As [`Gate::viewer`](super::Gate::viewer); also when there is a ticket and it does not open a stream.
    pub(super) async fn stream_viewer(
        &self,
        request: &Parts,
        ask: Ask,
    ) -> Result<Viewer, HttpError> {
        let Some(ticket) = ticket(request.uri.query().unwrap_or_default()) else {
            return self.gate.viewer(request, ask).await;
        };
        let ticket = Ticket::read(&ticket).ok_or(HttpError::BadTicket)?;
        if self.drain.is_cancelled() {
            // Kept for the node that the client turns to next.
            return Err(self.streams.draining().into());
        }
        let kept = self.library.redeem_ticket(ticket.digest()).await?;
        let kept = kept.ok_or(HttpError::BadTicket)?;
        Ok(Viewer {
            user: kept.user,
            expires_at: kept.expires_at,
            credential: Credential::Ticket,
        })
    }
}

fn ticket(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "ticket")
        .map(|(_, ticket)| ticket.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_found_whatever_is_escaped_in_it() {
        assert_eq!(ticket("ticket=st_a-_b").as_deref(), Some("st_a-_b"));
        assert_eq!(ticket("a=1&ticket=st_%61").as_deref(), Some("st_a"));
        assert_eq!(ticket("Ticket=st_a&tickets=x"), None);
        assert_eq!(ticket("ticket=").as_deref(), Some(""));
        assert_eq!(ticket("a=1&ticket=x&ticket=y").as_deref(), Some("x"));
        assert_eq!(ticket(""), None);
    }
}
