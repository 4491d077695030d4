//! The viewer of a stream: a token as anywhere, or a ticket in `?ticket=`, which only streams accept.

use axum::http::request::Parts;

use super::{Gate, HttpError};
use crate::auth::{Ask, Viewer};

impl Gate {
    /// The viewer of a request that opens a stream.
    ///
    /// A ticket goes before header and cookie, because the page put it there on purpose; and since no browser adds one
    /// by itself, it needs no trusted origin.
    ///
    /// # Errors
    /// As [`Gate::viewer`]; also when there is a ticket and it does not open a stream.
    pub async fn stream_viewer(&self, request: &Parts, ask: Ask) -> Result<Viewer, HttpError> {
        match ticket(request.uri.query().unwrap_or_default()) {
            Some(ticket) => {
                let viewer = self.tickets.redeem(&ticket).await;
                viewer.ok_or(HttpError::BadTicket)
            }
            None => self.viewer(request, ask).await,
        }
    }
}

fn ticket(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "ticket")
        .map(|(_, ticket)| ticket.into_owned())
}

#[cfg(test)]
mod tests {
    use super::ticket;

    #[test]
    fn a_ticket_is_found_in_the_query() {
        assert_eq!(ticket("ticket=st_a-_b").as_deref(), Some("st_a-_b"));
        assert_eq!(ticket("a=1&ticket=st_%61").as_deref(), Some("st_a"));
        assert_eq!(ticket("ticket=").as_deref(), Some(""));
        assert_eq!(ticket("Ticket=st_a&tickets=st_b"), None);
        assert_eq!(ticket(""), None);
    }
}
