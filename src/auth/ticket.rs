//! Tickets: single-use, short-lived credentials for opening one stream.
//!
//! `EventSource` cannot send an `Authorization` header, and a page on another site has no cookie here.
//! Such a page mints a ticket with its token and opens the stream with `?ticket=`. What may end up in a
//! proxy's log is then worth nothing: it has been used, or is about to lapse.
//!
//! **Invariant:** only the digest of a ticket is kept, and tickets are found by it, so neither the database
//! nor the time of a look-up tells a ticket.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// What every ticket starts with, so that a leaked one is known for what it is.
const PREFIX: &str = "st_";
/// Random bytes in a ticket: 256 bits.
const RANDOM_BYTES: usize = 32;
/// The prefix and the random bytes in base64.
const TICKET_BYTES: usize = PREFIX.len() + (RANDOM_BYTES * 4).div_ceil(3);

/// A ticket, as its holder knows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(String);

impl Ticket {
    /// Maximum number of unused tickets of one user.
    pub const MAX_PER_USER: u64 = 32;

    /// Makes one that nobody can guess.
    pub fn random() -> Self {
        Self(format!(
            "{PREFIX}{}",
            URL_SAFE_NO_PAD.encode(random_bytes())
        ))
    }

    /// Reads what is given for a ticket; `None` for what cannot be one.
    pub fn read(text: &str) -> Option<Self> {
        let is_ticket = text.len() == TICKET_BYTES && text.starts_with(PREFIX);
        is_ticket.then(|| Self(text.to_owned()))
    }

    /// What is kept of it: its SHA-256, in base64.
    pub fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }

    /// The ticket itself, for its holder alone.
    pub fn into_text(self) -> String {
        self.0
    }
}

#[expect(
    clippy::expect_used,
    reason = "no credential can be made without randomness"
)]
fn random_bytes() -> [u8; RANDOM_BYTES] {
    let mut bytes = [0; RANDOM_BYTES];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tickets_are_url_safe_and_never_alike() {
        let minted: HashSet<_> = (0..1000).map(|_| Ticket::random().into_text()).collect();
        assert_eq!(minted.len(), 1000);
        for ticket in minted {
            assert_eq!(ticket.len(), TICKET_BYTES);
            assert!(ticket.starts_with("st_"));
            let mut bytes = ticket.bytes();
            assert!(bytes.all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            assert!(Ticket::read(&ticket).is_some());
        }
    }

    #[test]
    fn what_cannot_be_a_ticket_is_not_looked_for() {
        let ticket = Ticket::random().into_text();
        for wrong in [
            "",
            "st_",
            &ticket[1..],
            &format!("{ticket} "),
            &ticket.to_uppercase(),
        ] {
            assert_eq!(Ticket::read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_ticket_is_neither_kept_nor_shown_in_clear() {
        let ticket = Ticket::random();
        let text = ticket.clone().into_text();
        assert!(!format!("{ticket:?}").contains(&text[PREFIX.len()..]));
        let again = Ticket::read(&text).unwrap();
        assert_eq!(ticket.digest(), again.digest());
        assert!(!ticket.digest().contains(&text[PREFIX.len()..]));
        assert_ne!(ticket.digest(), Ticket::random().digest());
    }
}
