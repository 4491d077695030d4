//! One page of changes: merges the changes of each kind in walk order, up to a number and a size.
//!
//! **Invariant:** a page skips no change of the walk: if the rows of a kind were read in part, the page ends with the last
//! of them.

use super::change::{Change, DeltaCursor, Since};
use crate::version::Version;

/// Limits of a page. It contains at least one change.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Number of changes.
    pub changes: u32,
    /// Bytes of texts and labels. The change that exceeds it is included.
    pub bytes: u64,
}

/// What is read besides the changed rows: only what the client selects.
#[derive(Debug, Clone, Copy)]
pub struct Related {
    /// The stories of progresses.
    pub stories: bool,
    /// The labels of stories.
    pub labels: bool,
}

/// A page that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// The client's copy at the start of the walk.
    pub since: Since,
    /// The last change of the page before, if any.
    pub after: Option<DeltaCursor>,
    /// The limits of the page.
    pub limit: PageLimit,
    /// What is read besides the changed rows.
    pub with: Related,
}

/// A change, and the bytes of its texts and labels.
#[derive(Debug)]
pub(super) struct Found {
    pub bytes: u64,
    pub change: Change,
}

/// The first changes of one kind.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub found: Vec<Found>,
    /// Whether the byte limit excluded further changes.
    pub is_cut: bool,
}

impl Read {
    /// Wraps changes that are small, so not limited by size.
    pub fn whole(mut changes: Vec<Change>) -> Self {
        changes.sort_unstable_by_key(Change::place);
        let found = changes.into_iter().map(|change| {
            let bytes = match &change {
                Change::Label(_, label) => label.name.as_str().len(),
                _ => 0,
            };
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            Found { bytes, change }
        });
        Self {
            found: found.collect(),
            is_cut: false,
        }
    }

    /// Returns the last stamp and rank that the page may have, if there are further changes of the kind than the `limit`
    /// that was read.
    pub fn end(&self, limit: u64) -> Option<(Version, u8)> {
        let is_full = u64::try_from(self.found.len()).is_ok_and(|read| read >= limit);
        let last = self.found.last().filter(|_| is_full || self.is_cut);
        last.map(|last| {
            let (stamp, rank, ..) = last.change.place();
            (stamp, rank)
        })
    }
}

/// The changes of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub changes: Vec<Change>,
    pub has_more: bool,
    /// Bytes of everything that was read.
    pub read: u64,
}

impl Page {
    /// Merges the changes of each kind.
    pub fn of(reads: impl IntoIterator<Item = Read>, limit: PageLimit) -> Self {
        let (mut all, mut end) = (Vec::new(), None);
        for Read { found, is_cut } in reads {
            if let Some(last) = found.last().filter(|_| is_cut) {
                let place = last.change.place();
                end = Some(end.map_or(place, |end| Ord::min(end, place)));
            }
            all.extend(found);
        }
        let (count, read) = (all.len(), all.iter().map(|found| found.bytes).sum());
        all.sort_unstable_by_key(|found| found.change.place());
        let mut bytes = 0;
        let fitting = all.into_iter().take(limit.changes as usize);
        let fitting = fitting.take_while(|found| {
            let has_room = bytes == 0 || bytes < limit.bytes;
            bytes += found.bytes;
            has_room && end.is_none_or(|end| found.change.place() <= end)
        });
        let changes: Vec<_> = fitting.map(|found| found.change).collect();
        Self {
            has_more: end.is_some() || changes.len() < count,
            changes,
            read,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::library::{model::kind::Kind, read::delta::change::Tombstone};

    fn found(stamp: i32, bytes: u64) -> Found {
        let removed = Tombstone {
            kind: Kind::Story,
            id: Uuid::nil(),
            stamp: Version::new(stamp),
        };
        Found {
            bytes,
            change: Change::Removed(removed),
        }
    }

    fn page(reads: Vec<Read>, changes: u32, bytes: u64) -> (Vec<i32>, bool) {
        let page = Page::of(reads, PageLimit { changes, bytes });
        let stamp = |change: &Change| change.place().0.number();
        (page.changes.iter().map(stamp).collect(), page.has_more)
    }

    fn read(stamps: &[i32], is_cut: bool) -> Read {
        let found = stamps.iter().map(|stamp| found(*stamp, 10)).collect();
        Read { found, is_cut }
    }

    #[test]
    fn a_page_is_limited_in_number_and_size_but_has_at_least_one_change() {
        let all = || vec![read(&[1, 3], false), read(&[2, 4], false)];
        assert_eq!(page(all(), 9, 100), (vec![1, 2, 3, 4], false));
        assert_eq!(page(all(), 3, 100), (vec![1, 2, 3], true));
        assert_eq!(page(all(), 9, 15), (vec![1, 2], true));
        assert_eq!(page(all(), 9, 1), (vec![1], true));
        assert_eq!(page(vec![], 9, 1), (vec![], false));
    }

    #[test]
    fn a_page_ends_at_a_partially_read_kind() {
        let reads = vec![read(&[1, 3], true), read(&[2, 4], false)];
        assert_eq!(page(reads, 9, 100), (vec![1, 2, 3], true));
        let reads = vec![read(&[1, 3], true), read(&[2], true)];
        assert_eq!(page(reads, 9, 100), (vec![1, 2], true));
    }
}
