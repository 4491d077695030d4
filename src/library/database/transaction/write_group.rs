//! Group commit: on SQLite, concurrent writes of different users share one COMMIT, and so one fsync.
//!
//! In the flow: [`LibraryWriter`](crate::library::write::writer::LibraryWriter) begins its transaction here. SQLite has one
//! connection that writes. It goes from writer to writer inside one transaction, in which each write is a savepoint. The
//! writer behind whom no other waits commits for all of them. So does a writer who finds a group older than [`MAX_AGE`],
//! before it begins its own.
//!
//! A write that may be long does not join a group, because the others would wait for it. It ends the open group, and
//! takes the connection from the pool, as all other work does. Meanwhile it keeps the turn: a write that waits too long
//! for it fails because the database is busy, and not because the pool is empty, which is an outage.
//!
//! **Invariant:** a write is reported as committed only after the COMMIT of its group succeeded. If it fails, each write
//! of the group fails.
//! **Invariant:** a write that fails or is dropped is rolled back to its savepoint, and the others of its group stay. If
//! that rollback fails, SQLite has rolled back the whole transaction by itself: all of them fail, and the connection is
//! closed.
//! **Invariant:** no write joins a group that is older than [`MAX_AGE`], and a group ends even if all its writers are
//! cancelled.
//! **Invariant:** a group has at most one write of a user, because a write keeps its turn in the
//! [fair queue](super::super::fair_queue) until its group has ended. So no write sees uncommitted rows of its user.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::counter;
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, oneshot},
    time::{Instant, sleep, timeout},
};

use super::connection::{Connection, query_failed};
use crate::library::{
    database::{
        fair_queue::{Act, given_up},
        options::DatabaseOptions,
    },
    error::Error,
};

/// Maximum age of a group that a write joins. It bounds how long a write waits for those behind it.
pub(in crate::library::database) const MAX_AGE: Duration = Duration::from_millis(20);

/// Maximum writes of a group. Each is of another user.
pub(in crate::library::database) const MAX_WRITES: usize = 64;

/// The group commit of a SQLite database.
#[derive(Debug, Clone)]
pub(in crate::library::database) struct WriteGroups(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: DatabaseConnection,
    /// The open group. The lock is the turn to write; it is fair.
    open: Arc<Mutex<Option<Group>>>,
    /// Writers who wait for the lock.
    waiting: AtomicUsize,
    max_age: Duration,
    /// Maximum wait for the lock.
    wait: Duration,
    /// Time limit of the COMMIT of a group whose writers have left.
    patience: Duration,
}

/// An open transaction. Dropping it before its end closes the connection, and fails its writes.
#[derive(Debug)]
struct Group {
    connection: Connection,
    began: Instant,
    savepoint: Savepoint,
    /// The writes that wait for the COMMIT.
    kept: Vec<oneshot::Sender<Result<(), DbErr>>>,
    has_ended: bool,
}

/// What the innermost savepoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Savepoint {
    /// Nothing.
    Empty,
    /// A write that stays.
    Kept,
    /// A write that runs, or was dropped.
    Unfinished,
}

/// The turn of one write in its group. If it is dropped, the next writer rolls the write back, or the end of the group does.
#[derive(Debug)]
pub(in crate::library::database) struct Seat {
    groups: WriteGroups,
    /// `None` after the write has ended.
    turn: Option<Turn>,
}

type Turn = OwnedMutexGuard<Option<Group>>;

/// The turn of a write that shares its commit with no other.
#[derive(Debug)]
pub(in crate::library) struct Alone {
    _turn: Turn,
}

/// A wait for the turn. It is counted, also if it is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl WriteGroups {
    pub fn new(pool: DatabaseConnection, options: &DatabaseOptions, max_age: Duration) -> Self {
        Self(Arc::new(Shared {
            pool,
            open: Arc::default(),
            waiting: AtomicUsize::new(0),
            max_age,
            wait: options.acquire_timeout,
            patience: options.patience(),
        }))
    }

    /// Joins the open group, or begins one.
    ///
    /// # Errors
    /// When the turn does not come in time, no connection is free in time, or BEGIN fails.
    pub async fn join(&self) -> Result<Seat, Error> {
        let mut turn = self.turn().await?;
        if self.is_old(&turn) {
            end(&mut turn).await;
        }
        let joined = match turn.take() {
            Some(group) => group.with_empty_savepoint().await,
            None => None,
        };
        let mut group = match joined {
            Some(group) => group,
            None => self.begin().await?,
        };
        group.savepoint = Savepoint::Unfinished;
        *turn = Some(group);
        Ok(Seat {
            groups: self.clone(),
            turn: Some(turn),
        })
    }

    /// Waits for the turn, and ends the open group.
    ///
    /// # Errors
    /// When the turn does not come in time.
    pub async fn alone(&self) -> Result<Alone, Error> {
        let mut turn = self.turn().await?;
        end(&mut turn).await;
        Ok(Alone { _turn: turn })
    }

    async fn turn(&self) -> Result<Turn, Error> {
        let _waiting = Waiting::new(&self.0.waiting);
        let turn = Arc::clone(&self.0.open).lock_owned();
        let turn = timeout(self.0.wait, turn).await;
        turn.map_err(|_| given_up(Act::Write, self.0.wait))
    }

    async fn begin(&self) -> Result<Group, DbErr> {
        let mut group = Group {
            connection: Connection::free((&self.0.pool).into()).await?,
            began: Instant::now(),
            savepoint: Savepoint::Empty,
            kept: Vec::new(),
            has_ended: false,
        };
        let begun = group.connection.send("BEGIN IMMEDIATE; SAVEPOINT write");
        begun.await.map_err(query_failed)?;
        group.began = Instant::now();
        tokio::spawn(self.clone().end_old());
        Ok(group)
    }

    /// Ends the open group when it is old, unless a writer has done so.
    async fn end_old(self) {
        sleep(self.0.max_age).await;
        let mut turn = Arc::clone(&self.0.open).lock_owned().await;
        if self.is_old(&turn) {
            let _ = timeout(self.0.patience, end(&mut turn)).await;
        }
    }

    fn is_old(&self, turn: &Turn) -> bool {
        let group = turn.as_ref();
        group.is_some_and(|group| group.began.elapsed() >= self.0.max_age)
    }

    /// Passes the turn to the next writer, or ends the group if there is none.
    async fn pass_on(&self, mut turn: Turn) {
        if self.0.waiting.load(Ordering::Relaxed) == 0 {
            end(&mut turn).await;
        }
    }
}

/// Commits the open group, and reports the outcome to its writers.
async fn end(open: &mut Option<Group>) {
    let Some(mut group) = open.take() else {
        return;
    };
    let sql = match group.savepoint {
        _ if group.kept.is_empty() => "ROLLBACK",
        Savepoint::Unfinished => "ROLLBACK TO write; COMMIT",
        Savepoint::Empty | Savepoint::Kept => "COMMIT",
    };
    let outcome = group.connection.send(sql).await.map_err(Arc::new);
    group.has_ended = outcome.is_ok();
    let kept = std::mem::take(&mut group.kept);
    if group.has_ended && !kept.is_empty() {
        counter!("library_sync_group_commits_total").increment(1);
    }
    for write in kept {
        let outcome = outcome.clone();
        let _ = write.send(outcome.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error))));
    }
}

impl Group {
    /// Returns the group with a savepoint for the next write. `None` if SQLite has ended the transaction by itself.
    async fn with_empty_savepoint(mut self) -> Option<Self> {
        let sql = match self.savepoint {
            Savepoint::Empty => return Some(self),
            Savepoint::Kept => "RELEASE write; SAVEPOINT write",
            Savepoint::Unfinished => "ROLLBACK TO write",
        };
        self.connection.send(sql).await.ok()?;
        Some(self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.close_on_drop();
        }
    }
}

impl Seat {
    /// Returns the connection. `None` after the write has ended.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        let group = self.turn.as_mut()?.as_mut()?;
        Some(&mut group.connection)
    }

    /// Keeps the write, and waits until its group has committed.
    pub async fn commit(&mut self) -> Result<(), DbErr> {
        let (write, committed) = oneshot::channel();
        if let Some(mut turn) = self.turn.take()
            && let Some(group) = &mut *turn
        {
            group.savepoint = Savepoint::Kept;
            group.kept.push(write);
            self.groups.pass_on(turn).await;
        }
        committed.await.unwrap_or_else(|_| Err(unconfirmed()))
    }

    /// Rolls the write back. The other writes of its group stay.
    pub async fn roll_back(&mut self) -> Result<(), DbErr> {
        let Some(mut turn) = self.turn.take() else {
            return Err(unconfirmed());
        };
        if let Some(mut group) = turn.take() {
            if !group.kept.is_empty() {
                let rolled_back = group.connection.send("ROLLBACK TO write").await;
                rolled_back.map_err(query_failed)?;
                group.savepoint = Savepoint::Empty;
            }
            *turn = Some(group);
            self.groups.pass_on(turn).await;
        }
        Ok(())
    }
}

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The error of a write whose group ended without an answer to COMMIT. The write may be retried.
fn unconfirmed() -> DbErr {
    let error = "the commit that this write shared with others was not confirmed";
    DbErr::Conn(RuntimeErr::Internal(error.to_owned()))
}
