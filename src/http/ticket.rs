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
    use axum::http::Request;
    use time::{Duration, OffsetDateTime};

    use std::sync::Arc;

    use super::*;
    use crate::{
        auth::{Credential, Keys, Origins, Rules, TicketLimits, Tickets, Verifier},
        version::UserId,
    };

    fn gate() -> Gate {
        Gate {
            verifier: Verifier::new(Keys::secret(&[7; 32]).unwrap(), Rules::default()),
            origins: Origins::default(),
            session_cookie: Some("session".into()),
            tickets: Arc::new(Tickets::new(TicketLimits::default())),
        }
    }

    async fn mint(gate: &Gate) -> String {
        let ann = Viewer {
            user: UserId::new("ann").unwrap(),
            expires_at: OffsetDateTime::now_utc() + Duration::HOUR,
            credential: Credential::Bearer,
        };
        gate.tickets.mint(&ann).await.unwrap()
    }

    fn request(query: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(format!("/graphql?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[tokio::test]
    async fn a_ticket_opens_one_stream_from_whatever_origin() {
        let gate = gate();
        let ticket = mint(&gate).await;
        let request = request(
            &format!("ticket={ticket}"),
            &[("Origin", "https://evil.example"), ("Cookie", "session=x")],
        );
        let viewer = gate.stream_viewer(&request, Ask::Change).await.unwrap();
        assert_eq!(viewer.user.as_str(), "ann");
        assert_eq!(viewer.credential, Credential::Ticket);
        let again = gate.stream_viewer(&request, Ask::Change).await;
        assert!(matches!(again, Err(HttpError::BadTicket)));
    }

    #[tokio::test]
    async fn a_ticket_is_good_for_streams_alone() {
        let gate = gate();
        let ticket = mint(&gate).await;
        let request = request(&format!("ticket={ticket}"), &[]);
        let refused = gate.viewer(&request, Ask::Read).await;
        assert!(matches!(refused, Err(HttpError::NoToken)));
        assert!(gate.stream_viewer(&request, Ask::Stream).await.is_ok());
    }

    #[tokio::test]
    async fn a_ticket_that_opens_nothing_is_not_passed_over_for_a_token() {
        let bearer = crate::auth::mint(
            &[7; 32],
            &Rules::default(),
            &UserId::new("ann").unwrap(),
            std::time::Duration::from_mins(1),
        );
        let authorization = format!("Bearer {}", bearer.unwrap());
        for query in ["ticket=st_none", "ticket=", "a=1&ticket=x&ticket=y"] {
            let request = request(query, &[("Authorization", &authorization)]);
            let refused = gate().stream_viewer(&request, Ask::Stream).await;
            assert!(matches!(refused, Err(HttpError::BadTicket)), "{query}");
        }
        let request = request(
            "Ticket=st_a&tickets=x",
            &[("Authorization", &authorization)],
        );
        assert!(gate().stream_viewer(&request, Ask::Stream).await.is_ok());
    }

    #[test]
    fn a_ticket_is_found_whatever_is_escaped_in_it() {
        assert_eq!(ticket("ticket=st_a-_b").as_deref(), Some("st_a-_b"));
        assert_eq!(ticket("a=1&ticket=st_%61").as_deref(), Some("st_a"));
        assert_eq!(ticket(""), None);
    }
}
