//! [`KeptConnections`]: connections to PostgreSQL that stay out of their pool while work keeps coming.
//!
//! In the flow: a [`Transaction`](super::transaction::Transaction), or a single statement, takes a connection here and gives
//! it back. The pool tests each connection that returns to it with two round trips: its own ping, and ours before it, which
//! limits the time of that ping. For a short change at a busy server these would be most of the round trips.
//!
//! **Invariant:** a connection is kept only after its last statement was answered, and outside of a transaction.
//! **Invariant:** all but [`RESERVED`] connections of the pool are kept at most, in use or idle. A connection that was not
//! used for two [`PERIOD`]s returns to the pool, and any other after [`LONGEST`]. So work that asks the pool itself does not
//! wait for the end of a busy time, and the pool closes each connection at the end of its lifetime.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{Error as SqlxError, Postgres, pool::PoolConnection},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// Connections of the pool that are never kept.
const RESERVED: u32 = 2;

/// Time after which connections without use return to the pool.
const PERIOD: Duration = Duration::from_millis(50);

/// Maximum time that a connection is kept.
const LONGEST: Duration = Duration::from_secs(1);

/// A pool, and the connections that are kept out of it. None of SQLite is kept: its pool does not test. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::library) struct KeptConnections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: DatabaseConnection,
    /// A permit for each connection that may be kept.
    places: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The last used is the last.
    connections: Vec<Kept>,
    /// How many of the first ones were not used since the last sweep.
    unused: usize,
    is_swept: bool,
}

/// A connection that is out of the pool.
#[derive(Debug)]
struct Kept {
    link: PoolConnection<Postgres>,
    since: Instant,
    place: Option<OwnedSemaphorePermit>,
}

/// A connection in use. It returns to the pool, unless it is [given back](Lent::give_back).
#[derive(Debug)]
pub(super) struct Lent {
    kept: Kept,
    /// Where it may be kept.
    home: Option<KeptConnections>,
}

impl KeptConnections {
    /// Keeps connections of `pool`, which has at most `connections`.
    pub fn of(pool: DatabaseConnection, connections: u32) -> Self {
        let most = match pool.get_database_backend() {
            DbBackend::Postgres => connections.saturating_sub(RESERVED),
            _ => 0,
        };
        Self(Arc::new(Inner {
            pool,
            places: Arc::new(Semaphore::new(most as usize)),
            idle: Mutex::default(),
        }))
    }

    /// Returns the pool.
    pub fn pool(&self) -> &DatabaseConnection {
        &self.0.pool
    }

    /// Returns the number of connections that are kept and not in use.
    pub fn idle(&self) -> usize {
        self.0.idle.lock().connections.len()
    }

    /// Returns the idle connections to the pool, and keeps no more.
    pub fn close(&self) {
        self.0.places.close();
        let idle = self.0.idle.lock().take_all();
        drop(idle);
    }

    /// Lends the connection that was used last, or one of the pool.
    pub(super) async fn lend(&self) -> Result<Lent, SqlxError> {
        let kept = self.0.idle.lock().take();
        let lent = match kept {
            Some(kept) => Lent { kept, home: None },
            None => Lent::of_pool(&self.0.pool).await?,
        };
        Ok(Lent {
            home: Some(self.clone()),
            ..lent
        })
    }

    /// Keeps a connection, or returns it to the pool.
    fn keep(&self, mut kept: Kept) {
        if kept.place.is_none() {
            kept.place = Arc::clone(&self.0.places).try_acquire_owned().ok();
        }
        let may_stay = kept.place.is_some() && !self.0.places.is_closed();
        if !may_stay || kept.since.elapsed() >= LONGEST {
            return;
        }
        let mut idle = self.0.idle.lock();
        idle.connections.push(kept);
        if !mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Returns connections without use to the pool, until none is idle.
    async fn sweep(self) {
        loop {
            sleep(PERIOD).await;
            let (unused, is_over) = self.0.idle.lock().take_unused();
            drop(unused);
            if is_over {
                return;
            }
        }
    }
}

impl Idle {
    fn take(&mut self) -> Option<Kept> {
        let taken = self.connections.pop();
        self.unused = self.unused.min(self.connections.len());
        taken
    }

    fn take_all(&mut self) -> Vec<Kept> {
        self.unused = 0;
        mem::take(&mut self.connections)
    }

    /// Takes the connections that were not used since the last time. Returns whether none is left, which ends the sweep.
    fn take_unused(&mut self) -> (Vec<Kept>, bool) {
        let unused = self.connections.drain(..self.unused).collect();
        self.unused = self.connections.len();
        self.is_swept = self.unused > 0;
        (unused, !self.is_swept)
    }
}

impl Lent {
    /// Takes a connection of `pool`, which is not kept.
    #[expect(
        clippy::disallowed_methods,
        reason = "transactions and single statements take their connections here"
    )]
    pub async fn of_pool(pool: &DatabaseConnection) -> Result<Self, SqlxError> {
        let kept = Kept {
            // Boxed, because the future is large and rarely needed.
            link: Box::pin(pool.get_postgres_connection_pool().acquire()).await?,
            since: Instant::now(),
            place: None,
        };
        Ok(Self { kept, home: None })
    }

    /// Returns the connection.
    pub fn link(&mut self) -> &mut PoolConnection<Postgres> {
        &mut self.kept.link
    }

    /// Gives the connection back after its last statement was answered, outside of a transaction.
    pub fn give_back(self) {
        if let Some(home) = self.home {
            home.keep(self.kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbErr, QueryResult, Statement};
    use tokio::time::timeout;

    use super::*;
    use crate::library::database::{
        options::{DatabaseOptions, Opening},
        pools::Database,
        transaction::{Purpose, Transaction, autocommit},
    };

    /// The deadline of what must happen.
    const LIMIT: Duration = Duration::from_secs(10);

    /// A database with four connections.
    #[expect(clippy::disallowed_methods, reason = "the address of the test server")]
    async fn postgres() -> Database {
        let address = std::env::var("LIBRARY_SYNC_TEST_POSTGRES")
            .expect("LIBRARY_SYNC_TEST_POSTGRES: run the tests by scripts/test");
        let options = DatabaseOptions {
            opening: Opening::Read,
            max_connections: 4,
            ..DatabaseOptions::for_test(&address)
        };
        Database::connect(&options).await.unwrap()
    }

    async fn query(kept: &KeptConnections, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        autocommit::query_all(kept, &statement).await
    }

    /// The number of the session that answers.
    async fn session(kept: &KeptConnections) -> i32 {
        let rows = query(kept, "SELECT pg_backend_pid()").await.unwrap();
        rows[0].try_get_by_index(0).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_kept_only_after_an_answered_statement() {
        let db = postgres().await;
        let first = session(&db.kept).await;
        assert_eq!((session(&db.kept).await, db.kept.idle()), (first, 1));
        let long = query(&db.kept, "SELECT pg_sleep(5)");
        let cancelled = timeout(Duration::from_millis(50), long).await;
        assert!(cancelled.is_err());
        assert_eq!(db.kept.idle(), 0);
        let second = session(&db.kept).await;
        assert_ne!(second, first);
        assert!(query(&db.kept, "SELECT 1 / 0").await.is_err());
        assert_eq!(db.kept.idle(), 0);
        assert_ne!(session(&db.kept).await, second);
    }

    #[tokio::test]
    async fn a_connection_is_kept_only_after_a_transaction_that_has_ended() {
        let db = postgres().await;
        let begin = async || Transaction::begin(&db.kept, Purpose::Write).await.unwrap();
        drop(begin().await);
        assert_eq!(db.kept.idle(), 0, "neither committed nor rolled back");
        begin().await.commit().await.unwrap();
        assert_eq!(db.kept.idle(), 1);
        begin().await.roll_back().await.unwrap();
        assert_eq!(db.kept.idle(), 1, "the same");
    }

    #[tokio::test]
    async fn connections_without_use_return_to_the_pool() {
        let db = postgres().await;
        session(&db.kept).await;
        let returned = async {
            while db.kept.idle() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, returned).await.unwrap();
    }

    #[tokio::test]
    async fn some_connections_of_the_pool_are_never_kept() {
        let db = postgres().await;
        for _ in 0..2 {
            let mut all = Vec::new();
            for _ in 0..4 {
                all.push(timeout(LIMIT, db.kept.lend()).await.unwrap().unwrap());
            }
            for mut lent in all {
                lent.kept.since = Instant::now();
                lent.give_back();
            }
            assert_eq!(db.kept.idle(), 2);
        }
        assert!(db.write.ping().await.is_ok());
    }

    #[tokio::test]
    async fn none_is_kept_for_long_or_after_the_end() {
        let db = postgres().await;
        let mut lent = db.kept.lend().await.unwrap();
        lent.kept.since = Instant::now().checked_sub(LONGEST).unwrap();
        lent.give_back();
        assert_eq!(db.kept.idle(), 0);
        let lent = db.kept.lend().await.unwrap();
        session(&db.kept).await;
        let sweep = || db.kept.0.idle.lock().take_unused();
        assert_eq!(sweep().0.len(), 0, "it was used a moment ago");
        db.kept.close();
        lent.give_back();
        assert_eq!(db.kept.idle(), 0);
        let (unused, is_over) = sweep();
        assert!(unused.is_empty() && is_over);
        timeout(LIMIT, db.close()).await.unwrap().unwrap();
    }
}
