//! The two statements of the [fast path](super::progress_fast_path) of `updateProgress`, and their rows. PostgreSQL only.

use sea_orm::{DbBackend, FromQueryResult as _, QueryResult, Statement, Value};
use time::OffsetDateTime;

use super::{
    conflict::Against,
    history::OTHER_STAMP,
    intent::Intent,
    receipt::{self, Once},
};
use crate::{
    library::{
        database::clock,
        entity::{columns::millis, progress, user::usage},
        error::Error,
        model::{
            device::Device,
            id::ProgressId,
            kind::Kind,
            limits::Usage,
            progress::{Progress, ProgressPatch, Rating},
            text::fold,
        },
    },
    trace::TraceParent,
    version::{Epoch, Head, UserId, Version},
};

/// Reads the user's row, the progress, the totals of the history and of the receipts, and whether the change has a receipt.
///
/// Neither statement tests whether a parameter is NULL or returns rows of a function, whose number PostgreSQL guesses: it
/// could then find a plan for these values cheaper than one for any values, and plan the statement at each run, which takes
/// longer than to run it.
const SEE: &str = "
SELECT u.library_epoch, u.library_version, u.library_erased, u.signed_out_at, u.library_counted = u.library_version AS is_counted,
  u.library_stories AS stories, u.library_tags AS tags, u.library_fandoms AS fandoms, u.library_bytes AS bytes,
  p.user_id, p.id, p.stamp, p.created_stamp, p.story_id, p.status, p.current_chapter, p.rating, p.notes,
  '' AS search_key, p.created_at, p.updated_at,
  (SELECT total FROM topaz_write WHERE user_id = $1 ORDER BY epoch DESC, version DESC LIMIT 1) AS newest_total,
  (SELECT total FROM topaz_write WHERE user_id = $1 ORDER BY epoch, version LIMIT 1) AS oldest_total,
  {receipt}, {now}
FROM topaz_user u JOIN topaz_progress p ON p.user_id = u.subject AND p.id = $2
WHERE u.subject = $1";

/// What [`SEE`] reads for a change that has an idempotency key.
const SEE_RECEIPT: &str = "
  EXISTS (SELECT 1 FROM topaz_receipt WHERE user_id = $1 AND idempotency_key = $3) AS has_receipt,
  coalesce((SELECT max(total) FROM topaz_receipt WHERE user_id = $1), 0) AS receipts";

/// The same for a change without one.
const NO_RECEIPT: &str = "false AS has_receipt, CAST(0 AS bigint) AS receipts";

/// Makes the change: bumps the version, then stores the progress, its history, the log entry and the receipt. Returns no
/// row, and changes nothing, unless the user's version and the progress's stamp are still those that were read.
const CHANGE: &str = "
WITH bumped AS (
  UPDATE topaz_user SET library_version = $3, library_bytes = library_bytes + $17,
    library_counted = CASE WHEN library_counted = library_version THEN $3 ELSE 0 END
  WHERE subject = $1 AND library_epoch = $5 AND library_version = $3 - 1
    AND EXISTS (SELECT 1 FROM topaz_progress WHERE user_id = $1 AND id = $7 AND stamp = $8)
  RETURNING library_version
), stored AS (
  UPDATE topaz_progress SET stamp = $3, updated_at = $4, status = coalesce(CAST($9 AS text), status),
    current_chapter = $10, rating = $11, notes = $12, search_key = $13
  FROM bumped WHERE user_id = $1 AND id = $7
), recorded AS (
  INSERT INTO topaz_field_change (user_id, kind, id, stamp, changed_at, field, was, other_stamp)
  SELECT $1, $2, changed.id, $3, $4, changed.field, changed.was, {other_stamp}
  FROM bumped CROSS JOIN (SELECT CAST($7 AS uuid) AS id, field, was FROM (VALUES {fields}) AS one (field, was)) AS changed
), logged AS (
  INSERT INTO topaz_write (user_id, epoch, version, kinds, device_id, device_name, written_at, traceparent, total)
  SELECT $1, $5, $3, $2, $6, $14, $4, $15, $16 FROM bumped
){answered}
SELECT library_version FROM bumped";

/// The part of [`CHANGE`] that stores the receipt.
const ANSWERED: &str = ", answered AS (
  INSERT INTO topaz_receipt (user_id, idempotency_key, fingerprint, answer, version, epoch, created_at, total)
  SELECT $1, $18, $19, $20, $3, $5, $4, (SELECT coalesce(max(total), 0) + $21 FROM topaz_receipt WHERE user_id = $1)
  FROM bumped
)";

/// A change of a progress.
pub(super) struct Change<'w> {
    pub user: &'w UserId,
    pub intent: &'w Intent,
    pub id: ProgressId,
    pub patch: &'w ProgressPatch,
    pub against: Against,
}

/// What the change depends on, at one version.
pub(super) struct Seen {
    pub head: Head,
    /// The epoch that the last erasure of the account began.
    pub erased: Epoch,
    /// When the user signed out everywhere, in milliseconds since the Unix epoch. 0 means never.
    pub signed_out_at: i64,
    /// The size of the library. `None` when it must be recounted.
    pub usage: Option<Usage>,
    pub progress: Progress,
    /// The running totals of the newest and the oldest log entry.
    pub totals: Option<(i64, i64)>,
    pub has_receipt: bool,
    /// The running total of the newest receipt.
    pub receipts: i64,
    /// The database's time.
    pub now: OffsetDateTime,
}

/// The rows that the change writes.
pub(super) struct Planned {
    pub row: Progress,
    pub keeps_status: bool,
    /// The changed fields with their values before, each as JSON.
    pub earlier: Vec<(String, String)>,
    /// Bytes of history that the change produces, and their running total.
    pub history: (i64, i64),
    pub grown: Usage,
    /// The answer to store.
    pub answer: Option<String>,
}

impl Change<'_> {
    /// Returns the statement that reads what the change depends on.
    pub fn select(&self) -> Statement {
        let mut values = vec![self.user.as_str().into(), self.id.0.into()];
        let key = self.intent.once.as_ref().map(Once::key);
        values.extend(key.map(Value::from));
        let receipt = if key.is_some() {
            SEE_RECEIPT
        } else {
            NO_RECEIPT
        };
        let now = format!("{} AS {}", clock::sql(DbBackend::Postgres), clock::NOW);
        let sql = SEE.replace("{receipt}", receipt).replace("{now}", &now);
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
    }

    /// Returns the statement that makes the change.
    pub fn statement(
        &self,
        seen: &Seen,
        planned: &Planned,
        trace: Option<TraceParent>,
    ) -> Statement {
        let (state, device) = (&planned.row.state, self.intent.device.as_ref());
        let status = <&str>::from(state.status);
        let text = |text: Option<&str>| Value::from(text.map(str::to_owned));
        let mut values = vec![
            self.user.as_str().into(),
            Kind::Progress.name().into(),
            planned.row.stamp.number().into(),
            millis(seen.now).into(),
            seen.head.epoch.number().into(),
            text(device.map(Device::id)),
            self.id.0.into(),
            seen.progress.stamp.number().into(),
            text((!planned.keeps_status).then_some(status)),
            state.current_chapter.into(),
            state.rating.map(Rating::tenths).into(),
            text(state.notes.as_deref()),
            state.notes.as_deref().map(fold).unwrap_or_default().into(),
            text(device.and_then(Device::name)),
            trace.map(|trace| trace.to_string()).into(),
            planned.history.1.into(),
            planned.grown.bytes.into(),
        ];
        let receipt = self.intent.once.as_ref().zip(planned.answer.as_deref());
        if let Some((once, answer)) = receipt {
            values.extend([once.key().into(), once.fingerprint().into(), answer.into()]);
            values.push(receipt::size(answer).into());
        }
        let mut fields = Vec::with_capacity(planned.earlier.len());
        for (field, was) in &planned.earlier {
            let at = values.len() + 1;
            fields.push(format!("(CAST(${at} AS text), CAST(${} AS text))", at + 1));
            values.extend([field.as_str().into(), was.as_str().into()]);
        }
        let sql = CHANGE
            .replace("{other_stamp}", OTHER_STAMP)
            .replace("{fields}", &fields.join(", "))
            .replace("{answered}", receipt.map_or("", |_| ANSWERED));
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
    }
}

impl Seen {
    pub fn read(row: &QueryResult) -> Result<Self, Error> {
        let is_counted: bool = row.try_get("", "is_counted")?;
        let newest: Option<i64> = row.try_get("", "newest_total")?;
        let oldest: Option<i64> = row.try_get("", "oldest_total")?;
        Ok(Self {
            head: Head {
                epoch: Epoch::new(row.try_get("", "library_epoch")?),
                version: Version::new(row.try_get("", "library_version")?),
            },
            erased: Epoch::new(row.try_get("", "library_erased")?),
            signed_out_at: row.try_get("", "signed_out_at")?,
            usage: is_counted.then(|| usage(row)).transpose()?,
            progress: progress::Model::from_query_result(row, "")?.try_into()?,
            totals: newest.zip(oldest),
            has_receipt: row.try_get("", "has_receipt")?,
            receipts: row.try_get("", "receipts")?,
            now: clock::of_row(row)?,
        })
    }
}
