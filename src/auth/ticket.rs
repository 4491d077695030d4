//! Tickets: single-use, short-lived credentials for one act, such as opening a stream.
//!
//! `EventSource` cannot send an `Authorization` header, and a page of another site has no cookie for this server. Such a page
//! creates a ticket with its token and opens the stream with `?ticket=`. A ticket in a proxy's log is worthless, because it is
//! used or expires soon.
//!
//! **Invariant:** only the digest of a ticket is stored and looked up. So the database and the timing of a look-up do
//! not reveal a ticket.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Random bytes in a ticket: 256 bits.
const RANDOM_BYTES: usize = 32;
/// Length of a ticket: the prefix, and the random bytes in base64.
const TICKET_BYTES: usize = PREFIX_BYTES + (RANDOM_BYTES * 4).div_ceil(3);
const PREFIX_BYTES: usize = 3;

/// What a ticket is for. A ticket for one purpose is invalid for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Opens one stream.
    Stream,
    /// Downloads the library once.
    Export,
    /// Confirms the erasure of the account.
    Erasure,
}

impl Purpose {
    /// The prefix of its tickets, which also identifies a leaked one.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Stream => "st_",
            Self::Export => "ex_",
            Self::Erasure => "er_",
        }
    }
}

/// A ticket in plain text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(String);

impl Ticket {
    /// Maximum number of unused tickets of one user.
    pub const MAX_PER_USER: u64 = 32;

    /// Generates a random ticket.
    pub fn random(purpose: Purpose) -> Self {
        let random = URL_SAFE_NO_PAD.encode(random_bytes());
        Self(format!("{}{random}", purpose.prefix()))
    }

    /// Parses a ticket. Returns `None` for an invalid format, or one for another purpose.
    pub fn read(text: &str, purpose: Purpose) -> Option<Self> {
        let is_ticket = text.len() == TICKET_BYTES && text.starts_with(purpose.prefix());
        is_ticket.then(|| Self(text.to_owned()))
    }

    /// Returns the stored form: its SHA-256 in base64.
    pub fn digest(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes()))
    }

    /// Returns the plain text, for its holder only.
    pub fn into_text(self) -> String {
        self.0
    }
}

#[expect(clippy::expect_used, reason = "a credential needs random bytes")]
fn random_bytes() -> [u8; RANDOM_BYTES] {
    let mut bytes = [0; RANDOM_BYTES];
    rand::fill(&mut bytes).expect("the system has random bytes");
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
    fn tickets_are_url_safe_and_unique() {
        let minted: HashSet<_> = (0..1000)
            .map(|_| Ticket::random(Purpose::Stream).into_text())
            .collect();
        assert_eq!(minted.len(), 1000);
        for ticket in minted {
            assert_eq!(ticket.len(), TICKET_BYTES);
            assert!(ticket.starts_with("st_"));
            let mut bytes = ticket.bytes();
            assert!(bytes.all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            assert!(Ticket::read(&ticket, Purpose::Stream).is_some());
        }
    }

    #[test]
    fn a_text_in_another_format_is_not_a_ticket() {
        let ticket = Ticket::random(Purpose::Stream).into_text();
        for wrong in [
            "",
            "st_",
            &ticket[1..],
            &format!("{ticket} "),
            &ticket.to_uppercase(),
        ] {
            assert_eq!(Ticket::read(wrong, Purpose::Stream), None, "{wrong:?}");
        }
        assert_eq!(Ticket::read(&ticket, Purpose::Export), None);
    }

    #[test]
    fn a_ticket_is_never_stored_or_shown_in_plain_text() {
        let ticket = Ticket::random(Purpose::Stream);
        let text = ticket.clone().into_text();
        assert!(!format!("{ticket:?}").contains(&text[PREFIX_BYTES..]));
        let again = Ticket::read(&text, Purpose::Stream).unwrap();
        assert_eq!(ticket.digest(), again.digest());
        assert!(!ticket.digest().contains(&text[PREFIX_BYTES..]));
        assert_ne!(ticket.digest(), Ticket::random(Purpose::Stream).digest());
    }
}
