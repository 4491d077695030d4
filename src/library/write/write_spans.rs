//! The spans of one write: the wait for its turn, the transaction, the commit.
//!
//! **Invariant:** each begins when the one before it ends, so that they sum to the whole.

use time::OffsetDateTime;

use crate::trace::{OpenSpan, Span, TraceParent, now, record};

/// The parts of a write whose request is traced.
pub(super) struct WriteSpans {
    request: OpenSpan,
    commit: TraceParent,
    transaction_began: OffsetDateTime,
    commit_began: OffsetDateTime,
}

impl WriteSpans {
    /// Records that the transaction begins.
    pub fn begin(request: OpenSpan) -> Self {
        let began = now();
        Self {
            request,
            commit: request.position.child(),
            transaction_began: began,
            commit_began: began,
        }
    }

    /// Returns the position of the commit, which the notice continues.
    pub fn commit_position(&self) -> TraceParent {
        self.commit
    }

    /// Records that the commit begins.
    pub fn begin_commit(&mut self) {
        self.commit_began = now();
    }

    /// Records all parts. An attempt that did not commit is part of the wait of the next one.
    pub fn end(self, committed: OffsetDateTime) {
        let part = |name, began, ended| Span::of(self.request.position, name, began, ended);
        let (transaction, commit) = (self.transaction_began, self.commit_began);
        record(part("admission", self.request.began, transaction));
        record(part("transaction", transaction, commit));
        record(Span {
            position: self.commit,
            ..part("commit", commit, committed)
        });
    }
}
