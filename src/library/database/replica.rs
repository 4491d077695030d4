//! The read replica: whether it may serve queries now.
//!
//! In the flow: a query asks [`Database::ask_replica`], if [`Database::replica_may_answer`];
//! [`Library::keep_watching_replica`] checks replica and primary in the background.
//!
//! **Invariant:** a replica is not read while it accepts writes (a standby promoted by mistake), belongs to another
//! cluster, lags more than allowed, or was never checked. Each begin and end of such a fault is logged once.

use std::{collections::VecDeque, fmt, future::Future, sync::Arc, time::Duration};

use metrics::gauge;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::time::{Instant, timeout};

use super::pools::Database;
use crate::library::error::Error;

/// Time limit for a connection to the replica, and for its head. Short, because the primary can answer instead.
pub(in crate::library) const REPLICA_WAIT: Duration = Duration::from_millis(500);

/// How long a replica that did not answer is skipped.
const REPLICA_BACKOFF: Duration = Duration::from_secs(5);

/// Reads a PostgreSQL server's cluster, whether it accepts writes, and its position in the write-ahead log.
const STATUS: &str = "SELECT system_identifier, \
    NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::bool) AS takes_writes, \
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::bigint \
    AS position, pg_is_in_recovery() AS follows FROM pg_control_system()";

/// The state of the replica. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::library) struct ReplicaState(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// End of the backoff after it did not answer.
    skipped_until: Option<Instant>,
    /// Why it is not read; `None` if it may be.
    fault: Option<Fault>,
    /// Positions of the primary in the write-ahead log, oldest first: one at least as old as the allowed lag, and all
    /// later ones.
    primary: VecDeque<(Instant, i64)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            skipped_until: None,
            fault: Some(Fault::Unseen),
            primary: VecDeque::new(),
        }
    }
}

/// Why a replica is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Unseen,
    TakesWrites,
    OtherCluster,
    Lags,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unseen => "it has not answered yet",
            Self::TakesWrites => "it accepts writes: it was promoted, or is not a standby",
            Self::OtherCluster => "it is a standby of another database cluster",
            Self::Lags => "it lags more than --max-replica-lag, or has stopped replaying",
        })
    }
}

/// The status of a PostgreSQL server.
#[derive(Debug, Clone, Copy)]
struct Status {
    cluster: i64,
    takes_writes: bool,
    /// Whether it replays another server's log.
    follows: bool,
    /// Position in the write-ahead log, in bytes.
    position: Option<i64>,
}

/// Returns the fault of a replica, given the primary's position that the replica must have reached.
fn fault(primary: Status, replica: Status, must_have_reached: Option<i64>) -> Option<Fault> {
    if replica.cluster != primary.cluster {
        Some(Fault::OtherCluster)
    } else if replica.takes_writes {
        Some(Fault::TakesWrites)
    } else if replica.follows && replica.position < must_have_reached {
        Some(Fault::Lags)
    } else {
        None
    }
}

impl State {
    /// Records the primary's position, and returns its position `lag` ago, if known.
    fn position_before(
        &mut self,
        now: Instant,
        position: Option<i64>,
        lag: Duration,
    ) -> Option<i64> {
        self.primary
            .extend(position.map(|position| (now, position)));
        let is_old = |at: &Instant| now.duration_since(*at) >= lag;
        while self.primary.get(1).is_some_and(|(at, _)| is_old(at)) {
            self.primary.pop_front();
        }
        let (at, position) = self.primary.front()?;
        is_old(at).then_some(*position)
    }

    /// Returns how long the primary has been past `position`, as far as the samples of it tell.
    fn lag(&self, now: Instant, position: Option<i64>) -> Duration {
        let mut samples = self.primary.iter();
        let first_past = samples.find(|(_, primary)| position.is_some_and(|it| *primary > it));
        first_past.map_or(Duration::ZERO, |(at, _)| now.duration_since(*at))
    }

    fn set_fault(&mut self, fault: Option<Fault>) {
        if self.fault == fault {
            return;
        }
        if let Some(fault) = fault {
            tracing::error!(
                replica.fault = %fault,
                "the database of --read-database-url is not read; queries read the primary"
            );
        } else {
            tracing::info!("the database of --read-database-url is read");
        }
        self.fault = fault;
    }
}

impl Database {
    /// Returns why the replica is not read now, if one is configured.
    pub fn replica_fault(&self) -> Option<String> {
        self.replica.as_ref()?;
        let fault = self.replica_state.0.lock().fault;
        fault.map(|fault| fault.to_string())
    }

    /// Waits for the replica's answer, at most twice [`REPLICA_WAIT`].
    pub(in crate::library) async fn ask_replica<T>(
        &self,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let read = timeout(2 * REPLICA_WAIT, read).await;
        let read = read.unwrap_or_else(|_| Err(Error::unavailable("the replica did not answer")));
        // The backoff keeps other queries from waiting for a lost replica.
        read.inspect_err(|_| {
            self.replica_state.0.lock().skipped_until = Some(Instant::now() + REPLICA_BACKOFF);
        })
    }

    /// Returns whether a replica is configured and may be read now.
    pub(in crate::library) fn replica_may_answer(&self) -> bool {
        let state = self.replica_state.0.lock();
        let is_awake = state
            .skipped_until
            .is_none_or(|until| until <= Instant::now());
        self.has_replica() && state.fault.is_none() && is_awake
    }

    /// Checks replica and primary. When one of them does not answer, the last result stays.
    pub(in crate::library) async fn look_at_replica(&self) {
        let Some(replica) = &self.replica else {
            return;
        };
        if replica.get_database_backend() != DbBackend::Postgres {
            // A SQLite replica is a copy that the operator maintains: it cannot be checked.
            self.replica_state.0.lock().fault = None;
            return;
        }
        let look = async { tokio::try_join!(status(&self.fresh), status(replica)) };
        let Ok(Ok((primary, replica))) = timeout(2 * REPLICA_WAIT, look).await else {
            return;
        };
        let mut state = self.replica_state.0.lock();
        let lag = self.max_replica_lag;
        let now = Instant::now();
        let must_have_reached = state
            .position_before(now, primary.position, lag)
            .filter(|_| !lag.is_zero());
        let fault = fault(primary, replica, must_have_reached);
        state.set_fault(fault);
        if replica.follows {
            let lag = state.lag(now, replica.position);
            gauge!("library_sync_replica_lag_seconds").set(lag.as_secs_f64());
        }
        gauge!("library_sync_replica_usable").set(if fault.is_none() { 1.0 } else { 0.0 });
    }
}

async fn status(db: &DatabaseConnection) -> Result<Status, DbErr> {
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, STATUS))
        .await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a server's status".to_owned()))?;
    Ok(Status {
        cluster: row.try_get("", "system_identifier")?,
        takes_writes: row.try_get("", "takes_writes")?,
        follows: row.try_get("", "follows")?,
        position: row.try_get("", "position")?,
    })
}

/// Counts a query that the replica or the primary could answer.
pub(in crate::library) fn count_query(answered_by: &'static str) {
    metrics::counter!("library_sync_replica_queries_total", "answered_by" => answered_by)
        .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(30);

    fn primary() -> Status {
        Status {
            cluster: 7,
            takes_writes: true,
            follows: false,
            position: Some(900),
        }
    }

    fn standby() -> Status {
        Status {
            takes_writes: false,
            follows: true,
            position: Some(400),
            ..primary()
        }
    }

    #[test]
    fn a_replica_is_a_standby_of_the_same_cluster_that_keeps_up() {
        assert_eq!(fault(primary(), standby(), None), None);
        assert_eq!(fault(primary(), standby(), Some(400)), None);
        assert_eq!(fault(primary(), standby(), Some(401)), Some(Fault::Lags));
        let promoted = Status {
            takes_writes: true,
            ..standby()
        };
        assert_eq!(fault(primary(), promoted, None), Some(Fault::TakesWrites));
        let other = Status {
            cluster: 8,
            ..standby()
        };
        assert_eq!(fault(primary(), other, None), Some(Fault::OtherCluster));
    }

    #[test]
    fn a_replica_must_have_reached_the_primarys_position_of_one_lag_ago() {
        let (mut state, began) = (State::default(), Instant::now());
        let mut at = |seconds, position| {
            let now = began + Duration::from_secs(seconds);
            state.position_before(now, Some(position), LAG)
        };
        assert_eq!(at(0, 10), None, "no position is that old");
        assert_eq!(at(20, 20), None);
        assert_eq!(at(40, 30), Some(10));
        assert_eq!(at(50, 40), Some(20));
        assert_eq!(at(1_000, 40), Some(40));
        assert!(state.primary.len() <= 2, "{:?}", state.primary);
    }

    #[test]
    fn a_replica_lags_since_the_primary_passed_its_position() {
        let (mut state, began) = (State::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        for (seconds, position) in [(0, 10), (10, 20), (20, 30)] {
            state.position_before(at(seconds), Some(position), LAG);
        }
        for (position, lag) in [
            (Some(30), 0),
            (Some(25), 0),
            (Some(15), 10),
            (Some(5), 20),
            (None, 0),
        ] {
            let expected = Duration::from_secs(lag);
            assert_eq!(state.lag(at(20), position), expected, "{position:?}");
        }
    }
}
