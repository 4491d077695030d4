//! What can go wrong with a library, sorted by who has to act.
//!
//! | variant | who acts | what the caller sees |
//! |---|---|---|
//! | [`Error::Invalid`] | the sender: the input breaks a rule | an error that names the field |
//! | [`Error::Refused`] | the sender's user: the library does not allow it now | data in the payload |
//! | [`Error::UnknownUser`] | the app that owns the accounts | an error |
//! | [`Error::Behind`] | nobody: try again, or compare epochs | an error that says so |
//! | [`Error::Unavailable`] | nobody: try again | an error that says so |
//! | [`Error::Fault`] | us | an opaque error; logged once, at the edge |

use std::{borrow::Cow, sync::Arc, time::Duration};

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlxError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::model::device::Device;
use crate::{error_chain::in_one_line, version::Version};

/// What lies behind a failure. Shared, because one failed read can fail several fields.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a read or a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The input breaks a rule, whatever the library holds.
    #[error("{field}: {message}")]
    Invalid {
        /// The input field, as GraphQL spells it.
        field: &'static str,
        /// What the rule is, in a sentence without a full stop.
        message: String,
    },
    /// The change is sound but the library does not allow it.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The user's row is made by another app, and it has not made it.
    #[error("this account does not exist yet")]
    UnknownUser,
    /// The library has not come to a version that the request must not be answered older than.
    #[error(
        "the library is at version {at} and has not come to {asked}, which the request must not be answered older \
         than: try again, and if that lasts, compare the epoch, because the database was restored"
    )]
    Behind {
        /// The version that was asked for.
        asked: Version,
        /// The present version.
        at: Version,
    },
    /// The database cannot answer now.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// A bug, or a database that is broken.
    #[error("the library failed")]
    Fault(#[source] Cause),
}

impl Error {
    /// The stable code that clients branch on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } | Self::Refused(_) => "BAD_USER_INPUT",
            Self::UnknownUser => "FORBIDDEN",
            Self::Unavailable(_) | Self::Behind { .. } => "UNAVAILABLE",
            Self::Fault(_) => "INTERNAL_SERVER_ERROR",
        }
    }

    /// The causes of what whoever runs the server should know of, outermost first; none of what a client did.
    pub fn causes(&self) -> Option<String> {
        let (Self::Unavailable(cause) | Self::Fault(cause)) = self else {
            return None;
        };
        if cause.is::<Crowded>() {
            return None;
        }
        Some(in_one_line(cause.as_ref()))
    }

    /// Whether another transaction was in the way, and this one was undone as a whole: made again at once, it may well
    /// succeed.
    pub(super) fn is_contention(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        let code = cause.downcast_ref::<DbErr>().and_then(sql_code);
        // 40001 serialization failure, 40P01 deadlock, 55P03 lock not available. Not SQLite's BUSY: it comes when
        // another process has held the lock for all of the timeout, and that would be waited for again each time.
        code.is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03"))
            || cause.downcast_ref::<Overtaken>().is_some()
    }

    /// Whether no connection became free in time, whatever the reason is.
    pub(super) fn is_pool_timeout(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        matches!(
            cause.downcast_ref(),
            Some(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))
        )
    }

    /// Whether the database answers nobody or takes no writes, rather than this request alone. Such errors are logged
    /// once when they begin and once when they end, by the module `probe`, instead of once a request.
    pub fn is_outage(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        cause.is::<Unanswered>()
            || cause.is::<Unreachable>()
            || cause.downcast_ref::<DbErr>().is_some_and(is_outage)
    }

    /// An [`Error::Invalid`].
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }

    /// The user has so much under way that this was not begun in time. Nothing is wrong with the server.
    pub(super) fn crowded() -> Self {
        Self::unavailable(Crowded)
    }

    /// The same change, sent twice, was answered while it was being made.
    pub(super) fn overtaken() -> Self {
        Self::unavailable(Overtaken)
    }

    /// An [`Error::Unavailable`].
    pub(crate) fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }

    /// An [`Error::Fault`].
    pub(crate) fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(cause.into().into())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another answer was kept first")]
struct Overtaken;

#[derive(Debug, thiserror::Error)]
#[error("too many operations of one user wait")]
struct Crowded;

/// No answer of the database in the time that a request has.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer within {0:?}")]
pub(super) struct Unanswered(pub Duration);

/// Why the database accepts no connections.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreachable(pub String);

/// Why a sound change was not made: an expected outcome, stored with a receipt and shown as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable reason.
    pub code: RefusalCode,
    /// The reason in words, for a developer.
    pub message: String,
    /// The input field at fault, as GraphQL spells it.
    pub field: String,
    /// The row of the user's own that stands in the way.
    pub existing_id: Option<Uuid>,
    /// What a conflict is about; empty when it is none.
    #[serde(default)]
    pub clashes: Vec<Clash>,
}

impl Refusal {
    /// `field` names no row of this user.
    pub(crate) fn not_found(field: &str, id: Uuid) -> Error {
        Error::Refused(Self {
            code: RefusalCode::NotFound,
            message: format!("{field} {id} is not in this library"),
            field: field.to_owned(),
            existing_id: None,
            clashes: Vec::new(),
        })
    }

    /// `field` would repeat what row `existing` already has.
    pub(crate) fn already_exists(field: &str, existing: Uuid) -> Error {
        Error::Refused(Self {
            code: RefusalCode::AlreadyExists,
            message: format!("this {field} is already in the library"),
            field: field.to_owned(),
            existing_id: Some(existing),
            clashes: Vec::new(),
        })
    }

    /// `whose` would have more than `most` of what `field` names.
    pub(crate) fn limit_reached(field: &str, whose: &str, most: usize) -> Error {
        Error::Refused(Self {
            code: RefusalCode::LimitReached,
            message: format!("{whose} may have at most {most} of them"),
            field: field.to_owned(),
            existing_id: None,
            clashes: Vec::new(),
        })
    }

    /// The row has moved on since the change's base, in fields that the change sets.
    pub(crate) fn conflict(clashes: Vec<Clash>) -> Error {
        let fields: Vec<_> = clashes.iter().map(|clash| clash.field.as_str()).collect();
        Error::Refused(Self {
            code: RefusalCode::Conflict,
            message: format!("changed since the base: {}", fields.join(", ")),
            field: "base".to_owned(),
            existing_id: None,
            clashes,
        })
    }
}

/// A field on which a change and the library disagree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clash {
    /// The field, as GraphQL spells it.
    pub field: String,
    /// What it held at the base; `None` when that is forgotten.
    pub base: Option<Value>,
    /// What the change sets.
    pub yours: Value,
    /// What the library holds.
    pub theirs: Value,
    /// The device that set it, if it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// When it was set; absent from receipts of older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<OffsetDateTime>,
}

/// The stable reasons of a [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// No such row in this library.
    NotFound,
    /// A row with this id, url or name is there already.
    AlreadyExists,
    /// The row has changed since the base in fields that the change sets.
    Conflict,
    /// The library, or a story, would hold more than it may.
    LimitReached,
    /// The idempotency key belongs to another change.
    IdempotencyKeyReused,
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if is_passing(&error) {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Fault(Arc::new(error))
        }
    }
}

/// What the database calls the error.
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

/// Whether the same statement may succeed later.
fn is_passing(error: &DbErr) -> bool {
    // 40 transaction rollback (serialization, deadlock), 57014 statement timeout, 55P03 lock timeout, 25P03 idle in
    // transaction.
    let is_momentary = sql_code(error).is_some_and(|code| {
        code.starts_with("40") || matches!(code.as_ref(), "57014" | "55P03" | "25P03")
    });
    // 9 INTERRUPT: the statement took too long.
    is_momentary || is_busy(error) || sqlite_code(error) == Some(9) || is_outage(error)
}

/// Whether another process holds SQLite's lock: 5 is BUSY, 6 is LOCKED.
pub(super) fn is_busy(error: &DbErr) -> bool {
    matches!(sqlite_code(error), Some(5 | 6))
}

/// Whether other statements fail too, until somebody acts on the database.
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

/// PostgreSQL's SQLSTATEs (appendix A of its manual) of a server that does not serve, or takes no writes.
fn is_outage_state(code: &str) -> bool {
    // 08 connection exception, 53 insufficient resources (53100 is a full disk), 57P0x server going down or coming up,
    // 58030 I/O error, 25006 read-only transaction: a primary that became a standby, until its address leads to the new
    // primary.
    code.len() == 5
        && (["08", "53", "57P"]
            .iter()
            .any(|class| code.starts_with(class))
            || matches!(code, "58030" | "25006"))
}

/// SQLite's primary result code, which its extended codes keep in the low byte.
fn sqlite_code(error: &DbErr) -> Option<u32> {
    let code = sql_code(error)?;
    // SQLSTATEs have five characters; no result code of SQLite has.
    (code.len() < 5)
        .then(|| code.parse::<u32>().ok())
        .flatten()
        .map(|code| code & 0xff)
}
