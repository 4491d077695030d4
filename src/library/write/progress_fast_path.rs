//! The fast path of `updateProgress`, the most frequent change, on PostgreSQL: one statement reads all that the change
//! depends on, and one statement makes it. The [transaction](super::library_write) needs seven round trips.
//!
//! In the flow: [`Library::update_progress`] tries it first. It decides only the plain case: the progress has not changed
//! since the change's base, some value changes, and nothing is refused, replayed, purged or recounted. In every other case
//! it does nothing, and the transaction decides.
//!
//! **Invariant:** the second statement changes nothing unless the user's version and the progress's stamp are those that
//! the first one read. It bumps the user's row before it changes anything, so writers of a user have one order here too.
//! **Invariant:** its rows and its answer are those of [`LibraryWriter::update_progress`](super::writer::LibraryWriter::update_progress).

use sea_orm::{DbBackend, DbErr, QueryResult, Statement};
use time::OffsetDateTime;

use super::{
    conflict::Against,
    history,
    history_size::{count_history, row_size},
    intent::Intent,
    progress_statements::{Change, Planned, Seen},
    receipt,
    write_spans::WriteSpans,
    writer::Updated,
    written::Written,
};
use crate::{
    library::{
        database::{
            kept_connections::KeptConnections, lost_connection::Attempts,
            transaction::autocommit::Autocommit,
        },
        error::{Error, sql_code},
        handle::Library,
        model::{
            id::ProgressId,
            limits::{GrowthFields, Limits, Usage},
            patch,
            progress::{Progress, ProgressPatch, ProgressState},
        },
    },
    version::{Head, UserId, Version},
};

impl Library {
    /// Changes some fields of a progress. Changes nothing if no value changes.
    ///
    /// # Errors
    /// As [`Library::write`].
    pub async fn update_progress(
        &self,
        user: &UserId,
        intent: Intent,
        id: ProgressId,
        patch: ProgressPatch,
        against: Against,
    ) -> Result<Written<Updated<Progress>>, Error> {
        self.write_in_turn(user, move |library, user| async move {
            let change = Change {
                user: &user,
                intent: &intent,
                id,
                patch: &patch,
                against,
            };
            if library.db.backend() == DbBackend::Postgres
                && let Some(written) = library.db.in_time(library.try_change(&change)).await?
            {
                return Ok(written);
            }
            let done = library.write_in_transaction(&user, &intent, move |writer| {
                Box::pin(writer.update_progress(id, patch, against))
            });
            done.await
        })
        .await
    }

    /// Makes a change in one statement. `None` when the transaction must decide.
    async fn try_change(
        &self,
        change: &Change<'_>,
    ) -> Result<Option<Written<Updated<Progress>>>, Error> {
        let (user, intent) = (change.user, change.intent);
        let mut spans = intent.span.map(WriteSpans::begin);
        let known = self.known.of(user);
        let Some((mut link, seen)) = self.see(change).await? else {
            return Ok(None);
        };
        let is_erased = intent.copy.is_some_and(|copy| copy.epoch < seen.erased);
        let is_signed_out = intent.issued_at.is_signed_out(seen.signed_out_at);
        if known > Some(seen.head) || is_erased || is_signed_out {
            return Ok(None);
        }
        let Some(planned) = change.plan(&seen, self.limits)? else {
            return Ok(None);
        };
        let trace = spans.as_ref().map(WriteSpans::commit_position);
        if let Some(spans) = &mut spans {
            spans.begin_commit();
        }
        let made = link
            .query_one(change.statement(&seen, &planned, trace))
            .await;
        match made {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) if is_overtaken(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        drop(link);
        count_history(planned.history.0, 0);
        let head = Head {
            version: planned.row.stamp,
            ..seen.head
        };
        self.committed(user, head, vec![change.id.0], spans);
        let updated = Updated {
            row: planned.row,
            left: Vec::new(),
        };
        Ok(Some(Written::now(head, Ok(updated))))
    }

    /// Reads what a change depends on, and returns the connection too. `None` when the user or the progress is unknown.
    async fn see(&self, change: &Change<'_>) -> Result<Option<(Autocommit, Seen)>, Error> {
        let mut attempts = Attempts::on(&self.db.write);
        let asked = OffsetDateTime::now_utc();
        let (link, row) = loop {
            let seen = query_alone(&self.db.kept, change.select()).await;
            if !attempts.repeats(&seen) {
                break seen?;
            }
        };
        let Some(row) = row else {
            return Ok(None);
        };
        let seen = Seen::read(&row)?;
        self.db.skew.observe(asked, seen.now);
        Ok(Some((link, seen)))
    }
}

async fn query_alone(
    kept: &KeptConnections,
    select: Statement,
) -> Result<(Autocommit, Option<QueryResult>), DbErr> {
    let mut link = Autocommit::on(kept).await?;
    let row = link.query_one(select).await?;
    Ok((link, row))
}

/// Returns whether another transaction made the statement fail: 40001 serialization failure, 40P01 deadlock, 55P03 lock not
/// available, 23505 another request with the same idempotency key. Nothing was changed.
fn is_overtaken(error: &DbErr) -> bool {
    sql_code(error)
        .is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03" | "23505"))
}

impl Change<'_> {
    /// Plans the change. `None` when it is not a plain one.
    fn plan(&self, seen: &Seen, limits: Limits) -> Result<Option<Planned>, Error> {
        let stored = &seen.progress;
        if seen.has_receipt || seen.head.version.number() >= i32::MAX - 1 {
            return Ok(None);
        }
        let Some(after) = self.after(seen)? else {
            return Ok(None);
        };
        let mut grown = after.usage();
        grown -= stored.state.usage();
        let earlier = history::earlier_values(&stored.state, &after)?;
        let earlier = earlier
            .into_iter()
            .map(|(field, was)| (field, was.to_string()));
        let row = Progress {
            stamp: Version::new(seen.head.version.number() + 1),
            updated_at: seen.now,
            state: after,
            ..stored.clone()
        };
        let mut planned = Planned {
            keeps_status: row.state.status == stored.state.status,
            earlier: earlier.collect(),
            history: (0, 0),
            grown,
            answer: None,
            row,
        };
        planned.history = planned.history_after(seen);
        if self.intent.once.is_some() {
            let left = Vec::new();
            let row = planned.row.clone();
            planned.answer = Some(receipt::answer(&Ok(Updated { row, left }))?);
        }
        Ok(planned.is_within(seen, limits).then_some(planned))
    }

    /// Returns the state after the change. `None` if it must be resolved, is invalid, or equals the state before.
    fn after(&self, seen: &Seen) -> Result<Option<ProgressState>, Error> {
        let stored = &seen.progress;
        let is_current = if let Some(base) = self.against.base() {
            base.epoch == seen.head.epoch
                && base.version <= seen.head.version
                && stored.stamp <= base.version
        } else {
            let (held, patch) = (patch::fields(&stored.state)?, patch::fields(self.patch)?);
            !self.against.may_be_behind(&held, &patch)
        };
        if !is_current {
            return Ok(None);
        }
        let after = patch::apply(&stored.state, self.patch)?;
        let after = after.tidy_changes(&stored.state);
        Ok(after.ok().filter(|after| *after != stored.state))
    }
}

impl Planned {
    fn history_after(&self, seen: &Seen) -> (i64, i64) {
        let texts = self.earlier.iter().map(|(_, was)| was.len());
        let bytes: i64 = texts.map(row_size).sum();
        let produced = bytes + row_size(0);
        (
            produced,
            produced + seen.totals.map_or(0, |(newest, _)| newest),
        )
    }

    /// Returns whether no limit is exceeded, so that nothing is refused or purged.
    fn is_within(&self, seen: &Seen, limits: Limits) -> bool {
        let most = limits.max_history_bytes;
        let oldest = seen.totals.map_or(self.history.1, |(_, oldest)| oldest);
        if most > 0 && self.history.1 - oldest > most {
            return false;
        }
        if let Some(size) = self.answer.as_deref().map(receipt::size)
            && receipt::purges(seen.receipts + size, size, limits.max_receipt_bytes)
        {
            return false;
        }
        if self.grown == Usage::default() {
            return true;
        }
        seen.usage.is_some_and(|usage| {
            let holds = usage + self.grown;
            holds.allow(self.grown, limits, &GrowthFields::ONE).is_ok()
        })
    }
}
