//! Where purges continue the walk of each table.
//!
//! While an old transaction is open, PostgreSQL keeps deleted rows. A walk from the oldest row would read all of them
//! again. So each purge continues where the one before it ended.
//!
//! **Invariant:** rows that a purge left, and rows that an imported archive adds before the end of a walk, are found within
//! [`FULL_WALK`].

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::purge_step::{Rows, Step};

/// Interval between walks from the oldest row.
const FULL_WALK: Duration = Duration::from_hours(24);

/// A walk continues this much before its end, in milliseconds: a transaction may commit rows later than their time.
const OVERLAP: i64 = 60_000;

/// The walks of all tables.
#[derive(Debug)]
pub(super) struct Walks {
    began: Instant,
    next: HashMap<&'static str, i64>,
}

impl Default for Walks {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            next: HashMap::new(),
        }
    }
}

impl Walks {
    /// Starts all walks again if they are old.
    pub fn renew(&mut self) {
        if self.began.elapsed() > FULL_WALK {
            *self = Self::default();
        }
    }

    pub fn of(&self, rows: Rows) -> Walk {
        let first = self.next.get(rows.table).copied().unwrap_or(i64::MIN);
        Walk {
            from: first,
            left: None,
        }
    }

    pub fn end(&mut self, rows: Rows, walk: Walk) {
        let next = walk
            .left
            .unwrap_or_else(|| walk.from.saturating_sub(OVERLAP));
        self.next.insert(rows.table, next);
    }
}

/// A walk of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// The time of the next step's first row.
    pub from: i64,
    /// The start of the first step that left rows.
    left: Option<i64>,
}

impl Walk {
    /// Notes that a step left rows.
    pub fn leave(&mut self) {
        self.left = self.left.or(Some(self.from));
    }

    /// Moves past a step. Returns whether the walk can go on.
    pub fn pass(&mut self, step: Step) -> bool {
        if step.purged < step.found {
            self.leave();
        }
        let before = self.from;
        self.from = Ord::max(before, step.newest.unwrap_or(before));
        !step.is_last() && (self.from > before || step.purged > 0)
    }
}
