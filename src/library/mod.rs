//! The only owner of library rows: a user's content, and the version that counts its changes.
//!
//! In the flow: `graphql` calls a read, or [`Library::write`] with a closure; a committed write is announced through the
//! [`Broker`](crate::broker::Broker). This module imports no hub, GraphQL, HTTP or authentication: its callers pass a
//! [`UserId`](crate::version::UserId).
//!
//! **Invariant (atomic):** the version moves if and only if the change commits, by one per transaction.
//! **Invariant (ordered):** a write bumps the user's row first, so its row lock orders the user's writers.
//! **Invariant (stamped):** every row that a write touches carries its version; every row it removes leaves a tombstone.
//! **Invariant (isolated):** every statement names the user.
//!
//! The entities and the writer's fields are private, so forgetting to bump does not compile:
//!
//! ```compile_fail,E0603
//! use library_sync::library::entity::story; // private
//! ```
//! ```compile_fail,E0451
//! fn forge(user: library_sync::version::UserId) -> library_sync::library::LibraryWriter {
//!     library_sync::library::LibraryWriter { user } // its fields are private and it has no constructor
//! }
//! ```

#[expect(
    clippy::disallowed_methods,
    reason = "an import writes the rows of another server as they are, into an empty library"
)]
mod archive;
mod consecutive_failures;
mod database;
mod device;
mod endpoint;
mod entity;
#[expect(
    clippy::disallowed_methods,
    reason = "an epoch restamps rows without changing them"
)]
mod epoch;
#[expect(
    clippy::disallowed_methods,
    reason = "an erasure deletes every row of a user, without tombstones"
)]
mod erasure;
mod error;
mod handle;
mod known_heads;
mod model;
mod read;
mod replica_watch;
#[expect(
    clippy::disallowed_methods,
    reason = "a purge deletes rows that were already removed"
)]
mod retention;
mod session;
#[expect(clippy::disallowed_methods, reason = "a ticket is not a library row")]
mod ticket;
mod warming;
#[expect(
    clippy::disallowed_methods,
    reason = "the writer is where rows change, and a receipt is kept even without a change"
)]
mod write;

pub use self::{
    archive::{
        export::Archive,
        header::MAGIC as ARCHIVE_MAGIC,
        import::{ArchiveError, Imported},
    },
    consecutive_failures::ConsecutiveFailures,
    database::{
        examination::{ClockSkew, WriteAheadLog},
        fair_queue::Admission,
        first_connection::OpenError,
        options::{DatabaseOptions, Opening},
        pools::Database,
        schema_check::{OlderApp, SET_ASIDE},
    },
    device::{
        log::{DeviceLog, DeviceStream},
        nodes::RunningNode,
        report::{DeviceReport, Pending},
        settings::{Client, DeviceSettings, VerdictSettings},
        stream_ender::StreamEnder,
        verdict::Verdict,
        viewed::{PendingChanges, ViewedDevice, ViewedStream},
    },
    endpoint::{
        claim::{Claimable, Claimed, DeviceState},
        device_activity::{DeviceActivity, Presence},
        summary::ChangeSummary,
        webhook::WebhookCall,
    },
    erasure::Erased,
    error::{Clash, Error, READ_ONLY, Refusal, RefusalCode},
    handle::Library,
    model::{
        device::Device,
        endpoint::{Endpoint, NewEndpoint, Pace},
        entry_line::{CheckedLines, EntryLine, ImportOutcome, ImportOutcomes},
        id::{LabelId, ProgressId, StoryId},
        kind::Kind,
        label::{Label, LabelKind, LabelName},
        limits::Limits,
        progress::{Progress, ProgressPatch, ProgressState, ProgressStatus, Rating},
        source::Source,
        story::{Story, StoryContent, StoryPatch, StoryState, StoryStatus},
        story_url::{is_storable_url, is_unsafe_url, parse_url},
        text::repaired_line,
    },
    read::{
        change_log::Changed,
        delta::{
            change::{Change, Delta, DeltaCursor, Since, Tombstone},
            page::{PageLimit, PageRequest, Related},
        },
        export::Exported,
        list::{
            filter::ProgressFilter,
            label_filter::LabelFilter,
            order::{Direction, Listed, OrderField, ProgressCursor, ProgressOrder},
            page::Page,
        },
        past::{
            history::{HistoryFilter, PastWrite, RowChange},
            library_at::PastEntries,
            past_row::{PastEntry, PastLabel, PastProgress, PastStory},
        },
        row::Row,
        search::Search,
        stats::{Stats, StatusCounts},
    },
    retention::purge::{Retention, Witnessed},
    session::{IssuedAt, Session},
    ticket::KeptTicket,
    warming::{score::UsageScore, select::WARM},
    write::{
        adopted::{AdoptedEntry, insert_entries, insert_labels, insert_links},
        conflict::{Against, OnConflict},
        intent::Intent,
        mirror::{MirroredEntry, is_address_of},
        progress::DeletedEntry,
        receipt::{IdempotencyKey, Once},
        restore::Restored,
        story::{Entry, NewEntry},
        writer::{LibraryWriter, Updated},
        written::Written,
    },
};
pub(crate) use self::{
    database::{
        sqlite_copy::{check_sqlite, copy_sqlite, seal_sqlite},
        sqlite_file::{beside, lock},
    },
    error::sql_code,
};
