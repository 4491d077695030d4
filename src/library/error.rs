//! Errors of the library, by who must act.
//!
//! | variant | who acts | what the caller sees |
//! |---|---|---|
//! | [`Error::Invalid`] | the client: the input breaks a rule | an error that names the field |
//! | [`Error::Refused`] | the user: the library does not allow it now | data in the payload |
//! | [`Error::UnknownUser`] | the app that owns the accounts | an error |
//! | [`Error::SignedOut`] | the user: sign in again | an error that says so |
//! | [`Error::Behind`] | the client: retry, or compare epochs | an error that says so |
//! | [`Error::ReadOnly`] | the operator: cut over from the older app | an error that says so |
//! | [`Error::Erased`] | the client: empty its copy and its outbox | an error that says so |
//! | [`Error::Unavailable`] | the client: retry | an error that says so |
//! | [`Error::Fault`] | the developers | an opaque error; logged once, at the edge |

use std::{borrow::Cow, sync::Arc, time::Duration};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlxError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::model::device::Device;
use crate::{error_chain::in_one_line, version::Version};

/// The source of an error. Shared, because one failed read can fail several fields.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a read or write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule, independent of the library's content.
    #[error("{field}: {message}")]
    Invalid {
        /// The input field, in GraphQL's spelling.
        field: &'static str,
        /// The rule, in a sentence without a full stop.
        message: String,
    },
    /// The change is valid, but the library does not allow it.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// Another app creates the user's row, and has not done so yet.
    #[error("this account does not exist yet")]
    UnknownUser,
    /// The credential was issued before its user signed out everywhere.
    #[error("the user has signed out everywhere since this token was issued; sign in again")]
    SignedOut,
    /// The library has not reached the minimum version of the request.
    #[error(
        "the library is at version {at}, below the required minimum {asked}: retry; if this persists, compare the epoch, \
         because the database was restored"
    )]
    Behind {
        /// The required minimum version.
        asked: Version,
        /// The current version.
        at: Version,
    },
    /// The older app still writes the library, see `library-sync adopt --live`.
    #[error("the library is read-only until the cut-over from the older app: retry later")]
    ReadOnly,
    /// The account was erased after the client's copy was made.
    #[error(
        "the account was erased: empty the local copy and the outbox, then start from version 0"
    )]
    Erased,
    /// The database cannot serve now.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// A bug, or a corrupt database.
    #[error("internal error of the library")]
    Fault(#[source] Cause),
}

impl Error {
    /// Returns the stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } | Self::Refused(_) => "BAD_USER_INPUT",
            Self::UnknownUser => "FORBIDDEN",
            Self::SignedOut => "SIGNED_OUT",
            Self::ReadOnly => "READ_ONLY",
            Self::Erased => "ACCOUNT_ERASED",
            Self::Unavailable(_) | Self::Behind { .. } => "UNAVAILABLE",
            Self::Fault(_) => "INTERNAL_SERVER_ERROR",
        }
    }

    /// The error chain to log, outermost first. `None` for client errors.
    pub fn causes(&self) -> Option<String> {
        let (Self::Unavailable(cause) | Self::Fault(cause)) = self else {
            return None;
        };
        if cause.is::<Crowded>() {
            return None;
        }
        Some(in_one_line(cause.as_ref()))
    }

    /// Returns whether another transaction conflicted and this one was rolled back, so that an immediate retry may
    /// succeed.
    pub(super) fn is_contention(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        let code = cause.downcast_ref::<DbErr>().and_then(sql_code);
        // 40001 serialization failure, 40P01 deadlock, 55P03 lock not available. Not SQLite's BUSY: another process then
        // held the lock for the whole timeout, and each retry would wait as long.
        code.is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03"))
            || cause.downcast_ref::<Overtaken>().is_some()
    }

    /// Returns whether no connection became free in time, for any reason.
    pub(super) fn is_pool_timeout(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        matches!(
            cause.downcast_ref(),
            Some(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        )
    }

    /// Returns whether the database refuses all requests or all writes, rather than this request only. The write probe
    /// logs such an outage once when it begins and once when it ends, not once a request.
    pub fn is_outage(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        cause.is::<Unanswered>()
            || cause.is::<Unreachable>()
            || cause.downcast_ref::<DbErr>().is_some_and(is_outage)
    }

    /// Creates an [`Error::Invalid`].
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }

    /// Creates the error of a user whose own concurrent work left no turn in time. The server is healthy.
    pub(super) fn crowded() -> Self {
        Self::unavailable(Crowded)
    }

    /// Creates the error of a change that was answered concurrently under the same idempotency key.
    pub(super) fn overtaken() -> Self {
        Self::unavailable(Overtaken)
    }

    /// Creates an [`Error::Unavailable`].
    pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }

    /// Creates an [`Error::Fault`].
    pub(crate) fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(cause.into().into())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another transaction stored the receipt first")]
struct Overtaken;

#[derive(Debug, thiserror::Error)]
#[error("too many concurrent operations of one user")]
struct Crowded;

/// The database did not answer within the time limit of a request.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer within {0:?}")]
pub(super) struct Unanswered(pub Duration);

/// Why the database accepts no connections.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreachable(pub String);

/// Why a valid change was not made: an expected outcome, stored with a receipt and returned as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable reason.
    pub code: RefusalCode,
    /// The reason in English, for developers.
    pub message: String,
    /// The input field at fault, in GraphQL's spelling.
    pub field: String,
    /// The user's existing row that prevents the change.
    pub existing_id: Option<Uuid>,
    /// The conflicting fields; empty unless the code is [`RefusalCode::Conflict`].
    #[serde(default)]
    pub clashes: Vec<Clash>,
}

impl Refusal {
    pub(super) fn new(code: RefusalCode, field: &str, message: String) -> Self {
        Self {
            code,
            message,
            field: field.to_owned(),
            existing_id: None,
            clashes: Vec::new(),
        }
    }

    /// `field` names a row that this user does not have.
    pub(crate) fn not_found(field: &str, id: Uuid) -> Error {
        let message = format!("{field} {id} is not in this library");
        Error::Refused(Self::new(RefusalCode::NotFound, field, message))
    }

    /// `field` would duplicate a value of row `existing`.
    pub(crate) fn already_exists(field: &str, existing: Uuid) -> Error {
        let message = format!("this {field} is already in the library");
        Error::Refused(Self {
            existing_id: Some(existing),
            ..Self::new(RefusalCode::AlreadyExists, field, message)
        })
    }

    /// The history of `version` was purged.
    pub(crate) fn not_kept(field: &str, version: Version) -> Error {
        let message = format!("the history of version {version} is not kept");
        Error::Refused(Self::new(RefusalCode::NotFound, field, message))
    }

    /// The history of the write that made `version` was purged.
    pub(crate) fn write_not_kept(field: &str, version: Version) -> Error {
        let message = format!("the history of the write of version {version} is not kept");
        Error::Refused(Self::new(RefusalCode::NotFound, field, message))
    }

    /// `version` is below `first`, the version that the first write made.
    pub(crate) fn no_write(field: &str, version: Version, first: Version) -> Error {
        let message =
            format!("no write made version {version}: the first write makes version {first}");
        Error::Refused(Self::new(RefusalCode::NotFound, field, message))
    }

    /// `version` is above the library's version `head`.
    pub(crate) fn above_head(field: &str, version: Version, head: Version) -> Error {
        let message = format!("version {version} is above the library's version {head}");
        Error::Refused(Self::new(RefusalCode::NotFound, field, message))
    }

    /// `owner` would exceed the limit of `most` rows that `field` names.
    pub(crate) fn limit_reached(field: &str, owner: &str, most: usize) -> Error {
        let message = format!("{owner} may have at most {most} of them");
        Error::Refused(Self::new(RefusalCode::LimitReached, field, message))
    }

    /// Other devices changed fields since the change's base that the change sets too.
    pub(crate) fn conflict(clashes: Vec<Clash>) -> Error {
        let fields: Vec<_> = clashes.iter().map(|clash| clash.field.as_str()).collect();
        let message = format!("changed since the base: {}", fields.join(", "));
        Error::Refused(Self {
            clashes,
            ..Self::new(RefusalCode::Conflict, "base", message)
        })
    }
}

/// A field whose values in a change and in the library conflict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clash {
    /// The row, if the change names several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Uuid>,
    /// The field, in GraphQL's spelling.
    pub field: String,
    /// Its value at the base; `None` when unknown.
    pub base: Option<Value>,
    /// The value that the change sets.
    pub yours: Value,
    /// The value in the library.
    pub theirs: Value,
    /// The device that set the library's value, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// When that value was set; absent from receipts of older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<OffsetDateTime>,
}

/// The stable reasons of a [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// The library does not have the row.
    NotFound,
    /// The library already has a row with this id, url or name.
    AlreadyExists,
    /// Other devices changed fields since the base that the change sets too.
    Conflict,
    /// The library or a story would exceed a limit.
    LimitReached,
    /// The idempotency key was used for another change.
    IdempotencyKeyReused,
}

/// The SQLSTATE with which the triggers of a live adoption refuse a change.
pub const READ_ONLY: &str = "LS001";

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if sql_code(&error).as_deref() == Some(READ_ONLY) {
            Self::ReadOnly
        } else if is_transient(&error) {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Fault(Arc::new(error))
        }
    }
}

/// Returns the database's error code.
pub(crate) fn sql_code(error: &DbErr) -> Option<Cow<'_, str>> {
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) =
        error
    else {
        return None;
    };
    match source.as_ref() {
        SqlxError::Database(error) => error.code(),
        _ => None,
    }
}

/// Returns whether the same statement may succeed later.
fn is_transient(error: &DbErr) -> bool {
    // 40 transaction rollback (serialization, deadlock), 57014 statement timeout, 55P03 lock timeout, 25P03 idle in
    // transaction.
    let is_transient = sql_code(error).is_some_and(|code| {
        code.starts_with("40") || matches!(code.as_ref(), "57014" | "55P03" | "25P03")
    });
    // 9 INTERRUPT: the statement took too long.
    is_transient || is_busy(error) || sqlite_code(error) == Some(9) || is_outage(error)
}

/// Returns whether another connection holds SQLite's lock: 5 is BUSY, 6 is LOCKED.
pub(super) fn is_busy(error: &DbErr) -> bool {
    matches!(sqlite_code(error), Some(5 | 6))
}

/// Returns whether other statements fail too, until an operator acts.
fn is_outage(error: &DbErr) -> bool {
    let source = match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => return true,
        DbErr::Exec(RuntimeErr::SqlxError(source))
        | DbErr::Query(RuntimeErr::SqlxError(source)) => source,
        _ => return false,
    };
    match source.as_ref() {
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => true,
        SqlxError::Database(db) => {
            db.code().is_some_and(|code| is_outage_state(&code))
                // 7 NOMEM, 8 READONLY, 10 IOERR, 13 FULL, 14 CANTOPEN.
                || matches!(sqlite_code(error), Some(7 | 8 | 10 | 13 | 14))
        }
        _ => false,
    }
}

/// Matches the SQLSTATEs (PostgreSQL manual, appendix A) of a server that does not serve or accepts no writes.
fn is_outage_state(code: &str) -> bool {
    // 08 connection exception, 53 insufficient resources (53100: disk full), 57P0x server shutting down or starting,
    // 58030 I/O error, 25006 read-only transaction: a demoted primary, until its address leads to the new one.
    code.len() == 5
        && (["08", "53", "57P"]
            .iter()
            .any(|class| code.starts_with(class))
            || matches!(code, "58030" | "25006"))
}

/// Returns SQLite's primary result code: the low byte of an extended code.
fn sqlite_code(error: &DbErr) -> Option<u32> {
    let code = sql_code(error)?;
    // SQLSTATEs have five characters; SQLite's result codes are shorter.
    (code.len() < 5)
        .then(|| code.parse::<u32>().ok())
        .flatten()
        .map(|code| code & 0xff)
}
