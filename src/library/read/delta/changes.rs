//! Deltas: the rows stamped after a version, and the tombstones of the rows removed after it, in stamp order.
//!
//! A client applies the pages of a walk in order: a row replaces the row with its id, a tombstone deletes it. It then has
//! the library at the head of the last page, even with concurrent writes: a row that is written during the walk moves to
//! a greater stamp, ahead of the cursor, and appears (again) in a later page.
//!
//! **Invariant:** a page and its head are of one state of the library: of one snapshot, or the library did not change while
//! they were read.
//! **Invariant:** if a tombstone that the client needs may have been purged, the delta is a `reset`.
//! **Invariant:** no page is of a session that was signed out before its first statement.

use std::collections::HashMap;

use metrics::{counter, histogram};
use sea_orm::ConnectionTrait;

use super::{
    change::{Delta, DeltaCursor, Since},
    page::{Page, PageRequest},
    related::add_related,
    source::{First, Source},
};
use crate::{
    library::{error::Error, handle::Library, session::Session},
    version::{Epoch, Head, Version},
};

/// How the statements of a page see one state of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consistency {
    /// They are in one snapshot.
    Snapshot,
    /// They find nothing after a change.
    Unchanged,
}

impl Library {
    /// Returns the changes of a page, at `at_least` or later. No head needs to be read before: the page reads it.
    ///
    /// # Errors
    /// As [`Library::for_query`].
    pub async fn changes(
        &self,
        session: Session<'_>,
        at_least: Option<Version>,
        request: PageRequest,
    ) -> Result<Delta, Error> {
        let is_reached = |delta: &Delta| at_least.is_none_or(|it| delta.head.version >= it);
        let delta = self.settled_page(session, request).await?;
        if let Some(delta) = delta.filter(is_reached) {
            return Ok(delta);
        }
        // Creates a new user, refuses a session that is signed out, or waits for a primary that is behind.
        self.for_query(session, at_least).await?;
        let delta = self.settled_page(session, request).await?;
        delta.ok_or_else(|| Error::fault("the user's row is missing"))
    }

    /// Reads a page. Returns `None` for a user without a row, and a session that is signed out.
    async fn settled_page(
        &self,
        session: Session<'_>,
        request: PageRequest,
    ) -> Result<Option<Delta>, Error> {
        let (user, PageRequest { since, after, .. }) = (session.user, request);
        let known = self.known.of(user);
        let delta = match self.first_page(session, request).await? {
            Some(delta) => Some(delta),
            None => self.page_of_snapshot(session, request).await?,
        };
        let Some(delta) = delta else {
            return Ok(None);
        };
        if !delta.reset {
            let count = u32::try_from(delta.changes.len()).unwrap_or(u32::MAX);
            histogram!("library_sync_delta_changes").record(f64::from(count));
        }
        let head = self
            .settle(user, delta.head, known, claims(since, after))
            .await?;
        Ok(Some(if head.epoch == delta.head.epoch {
            delta
        } else {
            count_reset("other_epoch");
            Delta::reset(head, false)
        }))
    }

    /// Reads the first page of a device that has a copy, which is the most frequent one, without a transaction: that saves
    /// the round trips of BEGIN and ROLLBACK. Returns `None` for other pages, if the library changed meanwhile, and as
    /// [`page`].
    async fn first_page(
        &self,
        session: Session<'_>,
        request: PageRequest,
    ) -> Result<Option<Delta>, Error> {
        if request.after.is_some() || request.since.version.number() == 0 {
            return Ok(None);
        }
        let reader = self.db.fresh_reader(session.user).await?;
        let page = page(&reader, session, request, Consistency::Unchanged);
        self.db.in_time(page).await
    }

    async fn page_of_snapshot(
        &self,
        session: Session<'_>,
        request: PageRequest,
    ) -> Result<Option<Delta>, Error> {
        let (of, issued_at) = (session.user.clone(), session.issued_at);
        let page = self.snapshot(session.user, move |tx| {
            Box::pin(async move {
                let session = Session {
                    user: &of,
                    issued_at,
                };
                page(tx, session, request, Consistency::Snapshot).await
            })
        });
        page.await
    }
}

/// The head that the client claims to have received.
fn claims(since: Since, after: Option<DeltaCursor>) -> Option<Head> {
    let walk = after.map(|cursor| Head {
        epoch: cursor.epoch,
        version: cursor.began,
    });
    let copy = since.epoch.map(|epoch| Head {
        epoch,
        version: since.version,
    });
    walk.max(copy)
}

impl Delta {
    fn reset(head: Head, erased: bool) -> Self {
        Self {
            head,
            reset: true,
            erased,
            has_more: false,
            changes: Vec::new(),
            read: 0,
            stories: HashMap::new(),
            end: None,
        }
    }
}

/// Reads a page. Returns `None` for a user without a row, for a session that is signed out, and if the library changed
/// meanwhile, which a snapshot does not.
pub(super) async fn page(
    db: &impl ConnectionTrait,
    session: Session<'_>,
    request: PageRequest,
    consistency: Consistency,
) -> Result<Option<Delta>, Error> {
    let PageRequest {
        since,
        after,
        limit,
        with,
    } = request;
    let source = Source {
        db,
        user: session.user,
        since: since.version,
        after,
        limit: u64::from(limit.changes) + 1,
        bytes: limit.bytes,
        with_stories: with.stories,
    };
    let first = source.first().await?;
    let is_admitted = |first: &First| !session.issued_at.is_signed_out(first.user.signed_out_at);
    let Some(first) = first.filter(is_admitted) else {
        return Ok(None);
    };
    let (head, floor) = (first.user.head(), Version::new(first.user.library_floor));
    if let Some(reason) = reset_reason(head, floor, since, after) {
        count_reset(reason);
        let erased = is_erased(first.user.erased(), since, after);
        return Ok(Some(Delta::reset(head, erased)));
    }
    let began = after.map_or(head.version, |cursor| cursor.began);
    let unless_changed = (consistency == Consistency::Unchanged).then_some(&first.user);
    let Some(large) = source.large(&first, unless_changed).await? else {
        return Ok(None);
    };
    let small = [first.tags, first.fandoms, first.tombstones];
    let page = Page::of(small.into_iter().chain(large), limit);
    let end = page.changes.last();
    let end = end.map(|last| last.cursor(head.epoch, began));
    let mut delta = Delta {
        head,
        reset: false,
        erased: false,
        has_more: page.has_more,
        changes: page.changes,
        read: page.read,
        stories: HashMap::new(),
        end: end.or(after),
    };
    let is_consistent = add_related(db, session.user, &mut delta, with, unless_changed).await?;
    Ok(is_consistent.then_some(delta))
}

/// Returns whether the client's copy is of an epoch before the last erasure.
fn is_erased(erased: Option<Epoch>, since: Since, after: Option<DeltaCursor>) -> bool {
    epochs(since, after).any(|epoch| Some(epoch) < erased)
}

/// The epochs that the client names: of its copy, and of its walk.
fn epochs(since: Since, after: Option<DeltaCursor>) -> impl Iterator<Item = Epoch> {
    let walk = after.map(|cursor| cursor.epoch);
    walk.into_iter().chain(since.epoch)
}

fn count_reset(reason: &'static str) {
    counter!("library_sync_delta_resets_total", "reason" => reason).increment(1);
}

/// Returns why the client may miss a removal; `None` if it cannot.
fn reset_reason(
    head: Head,
    floor: Version,
    since: Since,
    after: Option<DeltaCursor>,
) -> Option<&'static str> {
    if epochs(since, after).any(|epoch| epoch != head.epoch) {
        return Some("other_epoch");
    }
    if since.version > head.version {
        return Some("ahead");
    }
    // Tombstones up to the floor may be purged. The client needs those after its version (from an empty cache: only those
    // since the walk began), except those already delivered.
    let known = match (since.version.number(), after) {
        (0, None) => return None,
        (0, Some(cursor)) => cursor.began,
        _ => since.version,
    };
    // A page may end between the changes of one version, so its last stamp may be delivered only in part.
    let delivered = after.map_or(0, |cursor| cursor.stamp.number().saturating_sub(1));
    (floor.number() > Ord::max(known.number(), delivered)).then_some("below_floor")
}

#[cfg(test)]
mod tests {
    use super::{super::change::STORY, *};

    fn head(version: i32) -> Head {
        Head {
            epoch: Epoch::new(7),
            version: Version::new(version),
        }
    }

    fn since(version: i32) -> Since {
        Since {
            version: Version::new(version),
            epoch: None,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "callers need an Option")]
    fn after(began: i32, stamp: i32) -> Option<DeltaCursor> {
        let (epoch, id) = (Epoch::new(7), uuid::Uuid::nil());
        Some(DeltaCursor {
            epoch,
            began: Version::new(began),
            stamp: Version::new(stamp),
            rank: STORY,
            id,
        })
    }

    fn resets(floor: i32, since: Since, after: Option<DeltaCursor>) -> bool {
        reset_reason(head(50), Version::new(floor), since, after).is_some()
    }

    #[test]
    fn a_cache_below_the_floor_above_the_head_or_of_another_epoch_is_reset() {
        assert!(!resets(40, since(40), None));
        assert!(resets(40, since(39), None), "below the floor");
        assert!(!resets(40, since(50), None));
        assert!(resets(40, since(51), None), "above the head");
        assert!(!resets(
            40,
            Since {
                epoch: Some(Epoch::new(7)),
                ..since(45)
            },
            None
        ));
        assert!(
            resets(
                40,
                Since {
                    epoch: Some(Epoch::new(6)),
                    ..since(45)
                },
                None
            ),
            "another epoch"
        );
    }

    #[test]
    fn an_empty_cache_is_never_reset() {
        assert!(!resets(50, since(0), None));
    }

    #[test]
    fn a_walk_continues_unless_a_removal_it_needs_may_be_purged() {
        assert!(
            !resets(40, since(0), after(40, 3)),
            "removals before the walk do not matter"
        );
        assert!(
            resets(41, since(0), after(40, 3)),
            "a delivered row may have been removed"
        );
        assert!(
            !resets(41, since(0), after(40, 42)),
            "removals up to the floor were delivered"
        );
        assert!(
            resets(41, since(0), after(40, 41)),
            "the floor's own version may be delivered in part"
        );
        assert!(resets(40, since(30), after(45, 35)));
        assert!(!resets(40, since(30), after(45, 41)));
        assert!(resets(40, since(30), after(45, 40)));
    }

    #[test]
    fn a_walk_of_another_epoch_is_reset() {
        let cursor = after(40, 40).map(|cursor| DeltaCursor {
            epoch: Epoch::new(6),
            ..cursor
        });
        assert!(resets(0, since(0), cursor));
        let of_copy = Since {
            epoch: Some(Epoch::new(6)),
            ..since(0)
        };
        assert!(resets(0, of_copy, after(40, 40)), "of a copy too");
        assert!(is_erased(Some(Epoch::new(7)), of_copy, after(40, 40)));
    }
}
