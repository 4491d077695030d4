//! Tickets: single-use, short-lived credentials for opening one stream.
//!
//! `EventSource` cannot send an `Authorization` header, and a page on another site has no cookie here.
//! Such a page mints a ticket with its token and opens the stream with `?ticket=`. What may end up in a
//! proxy's log is then worth nothing: it has been used, or is about to lapse.
//!
//! Kept in memory: a ticket is good on the node that minted it. The methods are `async` so that a
//! store shared by all nodes can take this one's place.
//!
//! **Invariant:** a ticket is redeemed at most once, and never after its life or its token's has ended.
//!
//! **Invariant:** only the SHA-256 of a ticket is kept, and tickets are found by it, so neither memory
//! nor the time of a look-up tells a ticket.

use std::collections::{HashMap, VecDeque};

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use time::{Duration, OffsetDateTime};

use super::{Credential, Viewer};
use crate::version::UserId;

/// What every ticket starts with, so that a leaked one is known for what it is.
const PREFIX: &str = "st_";
/// Random bytes in a ticket: 256 bits.
const RANDOM_BYTES: usize = 32;
/// The prefix and the random bytes in base64.
const TICKET_BYTES: usize = PREFIX.len() + (RANDOM_BYTES * 4).div_ceil(3);

type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// How long a ticket lives, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct TicketLimits {
    /// How long a ticket can be redeemed. 30 seconds unless set.
    pub life: std::time::Duration,
    /// Tickets of one user that wait to be redeemed. 32 unless set.
    pub per_user: usize,
    /// Tickets minted within one life by everybody, which bounds memory. 100,000 unless set.
    pub total: usize,
}

impl Default for TicketLimits {
    fn default() -> Self {
        Self {
            life: std::time::Duration::from_secs(30),
            per_user: 32,
            total: 100_000,
        }
    }
}

/// The tickets of this node.
#[derive(Debug)]
pub struct Tickets {
    limits: TicketLimits,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    waiting: HashMap<Digest, Waiting>,
    /// How many of `waiting` each user has; no entry means none.
    per_user: HashMap<UserId, usize>,
    /// Every ticket of the last life, redeemed or not, in the order in which they lapse.
    lapses: VecDeque<(OffsetDateTime, Digest)>,
}

#[derive(Debug)]
struct Waiting {
    viewer: Viewer,
    lapses_at: OffsetDateTime,
}

impl Tickets {
    /// Starts with none.
    pub fn new(limits: TicketLimits) -> Self {
        Self {
            limits,
            book: Mutex::default(),
        }
    }

    /// How long a ticket can be redeemed, and when it makes sense to try again after a refusal.
    pub fn life(&self) -> std::time::Duration {
        self.limits.life
    }

    /// Makes a ticket that opens one stream for the viewer, until their own credential expires.
    ///
    /// # Errors
    /// When the user, or the node, has as many as [`TicketLimits`] grants.
    #[expect(clippy::unused_async, reason = "a store shared by all nodes will wait")]
    pub async fn mint(&self, viewer: &Viewer) -> Result<String, TooManyTickets> {
        self.mint_at(viewer, OffsetDateTime::now_utc())
    }

    /// Trades a ticket for its viewer, once. `None` if it was never minted, was redeemed, or has lapsed.
    #[expect(clippy::unused_async, reason = "a store shared by all nodes will wait")]
    pub async fn redeem(&self, ticket: &str) -> Option<Viewer> {
        self.redeem_at(ticket, OffsetDateTime::now_utc())
    }

    fn mint_at(&self, viewer: &Viewer, now: OffsetDateTime) -> Result<String, TooManyTickets> {
        let mut book = self.book.lock();
        book.drop_lapsed(now);
        if book.lapses.len() >= self.limits.total {
            return Err(TooManyTickets::Node);
        }
        let outstanding = book.per_user.get(&viewer.user).copied().unwrap_or(0);
        if outstanding >= self.limits.per_user {
            return Err(TooManyTickets::User(self.limits.per_user));
        }

        let ticket = random_ticket();
        let digest = digest_of(&ticket);
        let lapses_at =
            now.saturating_add(Duration::try_from(self.limits.life).unwrap_or(Duration::MAX));
        book.lapses.push_back((lapses_at, digest));
        book.per_user.insert(viewer.user.clone(), outstanding + 1);
        let viewer = Viewer {
            credential: Credential::Ticket,
            ..viewer.clone()
        };
        book.waiting.insert(digest, Waiting { viewer, lapses_at });
        Ok(ticket)
    }

    fn redeem_at(&self, ticket: &str, now: OffsetDateTime) -> Option<Viewer> {
        if ticket.len() != TICKET_BYTES {
            return None;
        }
        let Waiting { viewer, lapses_at } = self.book.lock().take(&digest_of(ticket))?;
        (now < lapses_at && now < viewer.expires_at).then_some(viewer)
    }
}

impl Book {
    fn take(&mut self, digest: &Digest) -> Option<Waiting> {
        let waiting = self.waiting.remove(digest)?;
        if let Some(count) = self.per_user.get_mut(&waiting.viewer.user) {
            *count -= 1;
            if *count == 0 {
                self.per_user.remove(&waiting.viewer.user);
            }
        }
        Some(waiting)
    }

    /// Done by whoever mints, so that no task is needed and redeeming costs the same every time.
    fn drop_lapsed(&mut self, now: OffsetDateTime) {
        while let Some((_, digest)) = self.lapses.pop_front_if(|(lapses_at, _)| *lapses_at <= now) {
            self.take(&digest);
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "no credential can be made without randomness"
)]
fn random_ticket() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn digest_of(ticket: &str) -> Digest {
    let mut out = [0; digest::SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest::digest(&digest::SHA256, ticket.as_bytes()).as_ref());
    out
}

/// Why no ticket was minted. It helps to redeem those there are, or to wait for one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyTickets {
    /// [`TicketLimits::per_user`], which it holds, is reached.
    #[error("you have {0} tickets that were not used; use them or let them lapse")]
    User(usize),
    /// [`TicketLimits::total`] is reached.
    #[error("too many tickets were made in the last moments; try again soon")]
    Node,
}

impl TooManyTickets {
    /// The stable code that clients branch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::User(_) => "TOO_MANY_TICKETS",
            Self::Node => "UNAVAILABLE",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const LIFE: Duration = Duration::seconds(30);

    fn viewer(user: &str) -> Viewer {
        Viewer {
            user: UserId::new(user).unwrap(),
            expires_at: NOW + Duration::HOUR,
            credential: Credential::Bearer,
        }
    }

    fn tickets(per_user: usize, total: usize) -> Tickets {
        Tickets::new(TicketLimits {
            per_user,
            total,
            ..TicketLimits::default()
        })
    }

    #[test]
    fn a_ticket_stands_for_the_viewer_until_their_token_expires() {
        let tickets = tickets(9, 9);
        let ticket = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        let redeemed = tickets.redeem_at(&ticket, NOW).unwrap();
        assert_eq!(redeemed.user, viewer("ada").user);
        assert_eq!(redeemed.expires_at, viewer("ada").expires_at);
        assert_eq!(redeemed.credential, Credential::Ticket);
    }

    #[tokio::test]
    async fn a_ticket_works_by_the_real_clock() {
        let tickets = Tickets::new(TicketLimits::default());
        let ada = Viewer {
            expires_at: OffsetDateTime::now_utc() + Duration::HOUR,
            ..viewer("ada")
        };
        let ticket = tickets.mint(&ada).await.unwrap();
        assert!(tickets.redeem(&ticket).await.is_some());
        assert!(tickets.redeem(&ticket).await.is_none());
    }

    #[test]
    fn a_ticket_is_useless_a_second_time() {
        let tickets = tickets(9, 9);
        let ticket = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        assert!(tickets.redeem_at(&ticket, NOW).is_some());
        assert_eq!(tickets.redeem_at(&ticket, NOW), None);
    }

    #[test]
    fn of_many_who_redeem_a_ticket_at_once_one_gets_in() {
        let tickets = Arc::new(tickets(9, 9));
        let ticket = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        let racers: Vec<_> = (0..8)
            .map(|_| {
                let (tickets, ticket) = (Arc::clone(&tickets), ticket.clone());
                std::thread::spawn(move || tickets.redeem_at(&ticket, NOW).is_some())
            })
            .collect();
        let admitted = racers.into_iter().map(|r| r.join().unwrap());
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 1);
    }

    #[test]
    fn a_ticket_lapses_after_its_life() {
        let tickets = tickets(9, 9);
        let early = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        let late = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        let before = NOW + LIFE - Duration::MILLISECOND;
        assert!(tickets.redeem_at(&early, before).is_some());
        assert_eq!(tickets.redeem_at(&late, NOW + LIFE), None);
        assert_eq!(
            tickets.redeem_at(&late, before),
            None,
            "a late try uses it up"
        );
    }

    #[test]
    fn a_ticket_does_not_outlive_the_token_it_was_minted_with() {
        let tickets = tickets(9, 9);
        let dying = Viewer {
            expires_at: NOW + Duration::SECOND,
            ..viewer("ada")
        };
        let ticket = tickets.mint_at(&dying, NOW).unwrap();
        assert_eq!(tickets.redeem_at(&ticket, dying.expires_at), None);
    }

    #[test]
    fn a_ticket_that_was_never_minted_is_refused() {
        let tickets = tickets(9, 9);
        let ticket = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        let guess = format!("{PREFIX}{}", "A".repeat(TICKET_BYTES - PREFIX.len()));
        for wrong in [
            "",
            "st_",
            &guess,
            &ticket[1..],
            &format!("{ticket} "),
            &ticket.to_uppercase(),
        ] {
            assert_eq!(tickets.redeem_at(wrong, NOW), None, "{wrong:?}");
        }
        assert!(tickets.redeem_at(&ticket, NOW).is_some());
    }

    #[test]
    fn tickets_are_url_safe_and_never_alike() {
        let tickets = tickets(1000, 1000);
        let minted: HashSet<_> = (0..1000)
            .map(|_| tickets.mint_at(&viewer("ada"), NOW).unwrap())
            .collect();
        assert_eq!(minted.len(), 1000);
        for ticket in minted {
            assert_eq!(ticket.len(), TICKET_BYTES);
            assert!(ticket.starts_with("st_"));
            assert!(
                ticket
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            );
        }
    }

    #[test]
    fn a_user_may_hold_only_so_many_and_others_are_not_concerned() {
        let tickets = tickets(2, 9);
        let first = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        tickets.mint_at(&viewer("ada"), NOW).unwrap();
        let refused = tickets.mint_at(&viewer("ada"), NOW).unwrap_err();
        assert_eq!(refused, TooManyTickets::User(2));
        assert_eq!(refused.code(), "TOO_MANY_TICKETS");
        assert!(tickets.mint_at(&viewer("bob"), NOW).is_ok());

        tickets.redeem_at(&first, NOW).unwrap();
        assert!(tickets.mint_at(&viewer("ada"), NOW).is_ok(), "one was used");
        assert!(tickets.mint_at(&viewer("ada"), NOW).is_err());
        assert!(
            tickets.mint_at(&viewer("ada"), NOW + LIFE).is_ok(),
            "the others lapsed"
        );
    }

    #[test]
    fn a_node_mints_only_so_many_in_a_life_and_forgets_what_lapsed() {
        let tickets = tickets(9, 2);
        let first = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        tickets.mint_at(&viewer("bob"), NOW).unwrap();
        tickets.redeem_at(&first, NOW).unwrap();
        let refused = tickets.mint_at(&viewer("eve"), NOW).unwrap_err();
        assert_eq!(refused, TooManyTickets::Node);
        assert_eq!(refused.code(), "UNAVAILABLE");

        tickets.mint_at(&viewer("eve"), NOW + LIFE).unwrap();
        let book = tickets.book.lock();
        assert_eq!(
            (book.waiting.len(), book.per_user.len(), book.lapses.len()),
            (1, 1, 1)
        );
    }

    #[test]
    fn a_ticket_is_not_kept_in_clear() {
        let tickets = tickets(9, 9);
        let ticket = tickets.mint_at(&viewer("ada"), NOW).unwrap();
        assert!(!format!("{tickets:?}").contains(&ticket[PREFIX.len()..]));
    }
}
