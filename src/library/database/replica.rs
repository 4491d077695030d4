//! The replica that queries may read: whether it still is what it is taken for, and worth asking now.
//!
//! In the flow: a query asks [`Database::ask_replica`], if [`Database::replica_may_answer`];
//! [`Library::keep_watching_replica`] looks at replica and primary beside that.
//!
//! **Invariant:** a database that takes writes (a standby promoted by mistake), is of another cluster, or lags more than
//! allowed is not read; when that begins and ends is logged once. One that was never seen is not read either.

use std::{collections::VecDeque, fmt, future::Future, sync::Arc, time::Duration};

use metrics::gauge;
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::time::{Instant, timeout};

use super::pools::Database;
use crate::library::error::Error;

/// The longest wait for a connection to the replica, and for it to tell a head: the primary is there too.
pub(in crate::library) const REPLICA_WAIT: Duration = Duration::from_millis(500);

/// How long a replica that did not answer is left alone.
const REPLICA_REST: Duration = Duration::from_secs(5);

/// Asks a PostgreSQL which cluster it is of, whether it takes writes, and how far it has come in the log.
const LOOK: &str = "SELECT system_identifier, \
    NOT (pg_is_in_recovery() OR current_setting('transaction_read_only')::bool) AS takes_writes, \
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::bigint \
    AS position, pg_is_in_recovery() AS follows FROM pg_control_system()";

/// What is known of the replica. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::library) struct ReplicaState(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Until when it is not asked, because it did not answer.
    rests: Option<Instant>,
    /// Why it is not read at all; none if it may be.
    fault: Option<Fault>,
    /// Where the primary was in the log, oldest first: one look that is as old as the lag allowed, and those since.
    primary: VecDeque<(Instant, i64)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            rests: None,
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
            Self::TakesWrites => "it takes writes: it was promoted, or is not a standby",
            Self::OtherCluster => "it is a standby of another database cluster",
            Self::Lags => "it lags more than --max-replica-lag, or does not move at all",
        })
    }
}

/// What a PostgreSQL says of itself.
#[derive(Debug, Clone, Copy)]
struct Seen {
    cluster: i64,
    takes_writes: bool,
    /// Whether it replays another's log.
    follows: bool,
    /// How far it has come in the log, in bytes.
    position: Option<i64>,
}

/// What is wrong with a replica, given the position at which the primary was when the replica must have reached it.
fn judge(primary: Seen, replica: Seen, must_have_reached: Option<i64>) -> Option<Fault> {
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
    /// Takes note of where the primary is, and returns where it was `lag` ago, if it was looked at then.
    fn was_at(&mut self, now: Instant, position: Option<i64>, lag: Duration) -> Option<i64> {
        self.primary
            .extend(position.map(|position| (now, position)));
        let is_old = |at: &Instant| now.duration_since(*at) >= lag;
        while self.primary.get(1).is_some_and(|(at, _)| is_old(at)) {
            self.primary.pop_front();
        }
        let (at, position) = self.primary.front()?;
        is_old(at).then_some(*position)
    }

    fn find(&mut self, fault: Option<Fault>) {
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
    /// Waits for the replica's answer, but not for long.
    pub(in crate::library) async fn ask_replica<T>(
        &self,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let read = timeout(2 * REPLICA_WAIT, read).await;
        let read = read.unwrap_or_else(|_| Err(Error::unavailable("the replica did not answer")));
        // So that not every query waits for one that is gone.
        read.inspect_err(|_| {
            self.replica_state.0.lock().rests = Some(Instant::now() + REPLICA_REST);
        })
    }

    /// Whether the replica, if there is one, may be read, and is worth asking now.
    pub(in crate::library) fn replica_may_answer(&self) -> bool {
        let state = self.replica_state.0.lock();
        let is_awake = state.rests.is_none_or(|until| until <= Instant::now());
        self.has_replica() && state.fault.is_none() && is_awake
    }

    /// Looks at replica and primary. What cannot be seen now is taken to be as it was.
    pub(in crate::library) async fn look_at_replica(&self) {
        let Some(replica) = &self.replica else {
            return;
        };
        if replica.get_database_backend() != DbBackend::Postgres {
            // A copy of a file is what whoever runs the server makes it.
            self.replica_state.0.lock().fault = None;
            return;
        }
        let look = async { tokio::try_join!(look(&self.fresh), look(replica)) };
        let Ok(Ok((primary, replica))) = timeout(2 * REPLICA_WAIT, look).await else {
            return;
        };
        let mut state = self.replica_state.0.lock();
        let lag = self.max_replica_lag;
        let must_have_reached = state
            .was_at(Instant::now(), primary.position, lag)
            .filter(|_| !lag.is_zero());
        let fault = judge(primary, replica, must_have_reached);
        state.find(fault);
        gauge!("library_sync_replica_usable").set(if fault.is_none() { 1.0 } else { 0.0 });
    }
}

async fn look(db: &DatabaseConnection) -> Result<Seen, DbErr> {
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, LOOK))
        .await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a server's state".to_owned()))?;
    Ok(Seen {
        cluster: row.try_get("", "system_identifier")?,
        takes_writes: row.try_get("", "takes_writes")?,
        follows: row.try_get("", "follows")?,
        position: row.try_get("", "position")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(30);

    fn primary() -> Seen {
        Seen {
            cluster: 7,
            takes_writes: true,
            follows: false,
            position: Some(900),
        }
    }

    fn standby() -> Seen {
        Seen {
            takes_writes: false,
            follows: true,
            position: Some(400),
            ..primary()
        }
    }

    #[test]
    fn a_replica_is_a_standby_of_the_same_cluster_that_keeps_up() {
        assert_eq!(judge(primary(), standby(), None), None);
        assert_eq!(judge(primary(), standby(), Some(400)), None);
        assert_eq!(judge(primary(), standby(), Some(401)), Some(Fault::Lags));
        let promoted = Seen {
            takes_writes: true,
            ..standby()
        };
        assert_eq!(judge(primary(), promoted, None), Some(Fault::TakesWrites));
        let other = Seen {
            cluster: 8,
            ..standby()
        };
        assert_eq!(judge(primary(), other, None), Some(Fault::OtherCluster));
    }

    #[test]
    fn a_replica_must_have_reached_where_the_primary_was_as_long_ago_as_it_may_lag() {
        let (mut state, began) = (State::default(), Instant::now());
        let mut at = |seconds, position| {
            let now = began + Duration::from_secs(seconds);
            state.was_at(now, Some(position), LAG)
        };
        assert_eq!(at(0, 10), None, "nothing is known of so long ago");
        assert_eq!(at(20, 20), None);
        assert_eq!(at(40, 30), Some(10));
        assert_eq!(at(50, 40), Some(20));
        assert_eq!(at(1_000, 40), Some(40));
        assert!(state.primary.len() <= 2, "{:?}", state.primary);
    }
}
