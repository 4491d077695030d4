//! Read connections: each is lent to one user's statement or snapshot at a time.
//!
//! In the flow: every read of a library takes a [`Reader`] and runs its statements on it. PostgreSQL readers share one
//! pool, and the connections that are kept of it. Each SQLite reader is a pool of one connection, so that the time limit of
//! its statement can be set from outside.
//!
//! Dropping a reader during a statement (client disconnect or timeout) cancels the statement: SQLite is interrupted; a
//! PostgreSQL connection is closed, which its server detects by itself (`client_connection_check_interval`).
//!
//! **Invariant:** a user occupies at most as many read connections as [`FairQueue`] allows, including those whose cancelled
//! statement still runs.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    Statement,
    sqlx::{self, Error as SqlxError, PgConnection},
};

use super::{
    fair_queue::{Act, Admission, FairQueue},
    kept_connections::KeptConnections,
    transaction::{Purpose, Source, Transaction, autocommit, is_free},
};
use crate::{library::error::Error, version::UserId};

/// Interval at which a PostgreSQL server checks during a statement that its client is still connected.
const CLIENT_CHECK_INTERVAL: &str = "250ms";

/// Instructions of SQLite's virtual machine between two checks of the time limit: about 10 µs.
const INSTRUCTIONS: i32 = 1_000;

/// Time in which a released PostgreSQL connection must answer to be reused. A connection whose cancelled statement still
/// runs does not, and is closed.
pub(in crate::library) const SETTLES_WITHIN: Duration = Duration::from_millis(500);

/// The read connections of one database.
#[derive(Debug)]
pub(in crate::library) struct Readers {
    origin: Origin,
    /// Open connections that are not lent.
    idle: Mutex<Vec<Link>>,
    turns: Arc<FairQueue>,
    wait: Duration,
}

/// The source of connections.
#[derive(Debug)]
pub(in crate::library) enum Origin {
    /// One pool.
    Postgres(KeptConnections),
    /// A SQLite database, opened once per connection.
    Sqlite {
        connect: Box<ConnectOptions>,
        /// Statement timeout. Zero: unlimited.
        timeout: Duration,
        /// Attaches metrics to a connection.
        observe: fn(DatabaseConnection) -> DatabaseConnection,
    },
}

#[derive(Debug)]
struct Link {
    db: DatabaseConnection,
    limit: Option<Arc<TimeLimit>>,
}

/// A connection lent to one user's read.
#[derive(Debug)]
pub(in crate::library) struct Reader {
    readers: Arc<Readers>,
    /// `None` once it was returned.
    lent: Option<(Link, Admission)>,
    /// Whether a statement runs. If still set on drop, the statement was cancelled.
    is_busy: AtomicBool,
}

impl Readers {
    pub fn new(origin: Origin, turns: Arc<FairQueue>, wait: Duration) -> Arc<Self> {
        Arc::new(Self {
            origin,
            idle: Mutex::default(),
            turns,
            wait,
        })
    }

    /// Lends a connection to `user` when it is their turn.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the wait exceeds the acquire timeout.
    pub async fn lend(self: &Arc<Self>, user: &UserId) -> Result<Reader, Error> {
        let turn = self.turns.take(user, Act::Read, self.wait).await?;
        let idle = self.idle.lock().pop();
        let link = match idle {
            Some(link) => link,
            // Boxed, because the future is large and rarely needed.
            None => Box::pin(self.origin.open()).await?,
        };
        Ok(Reader {
            readers: Arc::clone(self),
            lent: Some((link, turn)),
            is_busy: AtomicBool::new(false),
        })
    }

    /// Closes the idle connections.
    pub async fn close(&self) -> Result<(), DbErr> {
        let idle = std::mem::take(&mut *self.idle.lock());
        for link in idle {
            link.db.close().await?;
        }
        Ok(())
    }
}

impl Origin {
    async fn open(&self) -> Result<Link, DbErr> {
        match self {
            Self::Postgres(kept) => Ok(Link {
                db: kept.pool().clone(),
                limit: None,
            }),
            Self::Sqlite {
                connect,
                timeout,
                observe,
            } => {
                let limit = Arc::new(TimeLimit::new(*timeout));
                let mut connect = ConnectOptions::clone(connect);
                connect.max_connections(1);
                limit.watch_over(&mut connect);
                Ok(Link {
                    db: observe(sea_orm::Database::connect(connect).await?),
                    limit: Some(limit),
                })
            }
        }
    }
}

impl Link {
    /// Cancels the running statement.
    fn interrupt(&self) {
        if let Some(limit) = &self.limit {
            limit.end_now();
        }
    }

    /// Waits until the cancelled statement has ended.
    async fn settle(&self) {
        if self.limit.is_some() {
            // The pool has one connection: it answers when the statement has ended.
            let _ = self.db.ping().await;
        } else {
            // By then the server has detected that the connection is closed.
            tokio::time::sleep(SETTLES_WITHIN).await;
        }
    }
}

impl Reader {
    /// Begins a snapshot. Callers enclose their work in [`Reader::begin_work`] and [`Reader::end_work`].
    pub async fn snapshot(&self) -> Result<Transaction, DbErr> {
        let source: Source<'_> = match &self.readers.origin {
            Origin::Postgres(kept) => kept.into(),
            Origin::Sqlite { .. } => self.pool()?.into(),
        };
        Transaction::begin(source, Purpose::Snapshot).await
    }

    fn pool(&self) -> Result<&DatabaseConnection, DbErr> {
        let lent = self.lent.as_ref().map(|(link, _)| &link.db);
        lent.ok_or_else(|| DbErr::Custom("a reader was used after its return".to_owned()))
    }

    /// Marks the reader as busy.
    pub fn begin_work(&self) {
        self.is_busy.store(true, Ordering::Relaxed);
    }

    /// Marks the reader as free.
    pub fn end_work(&self) {
        self.is_busy.store(false, Ordering::Relaxed);
    }

    async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        self.begin_work();
        let outcome = statement.await;
        self.end_work();
        outcome
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        match &self.readers.origin {
            Origin::Postgres(_) => DbBackend::Postgres,
            Origin::Sqlite { .. } => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(writes())
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(writes())
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match &self.readers.origin {
            Origin::Postgres(kept) => self.run(autocommit::query_all(kept, &statement)).await,
            Origin::Sqlite { .. } => self.run(self.pool()?.query_all_raw(statement)).await,
        }
    }
}

fn writes() -> DbErr {
    DbErr::Custom("a reader cannot write".to_owned())
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some((link, turn)) = self.lent.take() else {
            return;
        };
        let readers = Arc::clone(&self.readers);
        let give_back = move |link: Link, turn: Admission| {
            readers.idle.lock().push(link);
            // Released last, so that the next user finds the idle connection.
            drop(turn);
        };
        if !self.is_busy.load(Ordering::Relaxed) {
            return give_back(link, turn);
        }
        link.interrupt();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                link.settle().await;
                give_back(link, turn);
            });
        }
    }
}

/// Makes a PostgreSQL server cancel a statement whose client has disconnected. Before version 14, or on a system without
/// support, the statement runs until it ends or times out.
pub(in crate::library) async fn look_for_client(link: &mut PgConnection) -> Result<(), SqlxError> {
    let set = "SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'client_connection_check_interval'";
    match sqlx::query(set)
        .bind(CLIENT_CHECK_INTERVAL)
        .execute(link)
        .await
    {
        Ok(_) | Err(SqlxError::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The time limit of the current statement on a SQLite connection.
#[derive(Debug)]
struct TimeLimit {
    /// In milliseconds since [`START`].
    until: AtomicU64,
    timeout: Duration,
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl TimeLimit {
    /// Zero: unlimited.
    fn new(timeout: Duration) -> Self {
        Self {
            until: AtomicU64::new(u64::MAX),
            timeout,
        }
    }

    /// Installs the progress handler, and restarts the limit whenever the connection is lent.
    fn watch_over(self: &Arc<Self>, connect: &mut ConnectOptions) {
        let limit = Arc::clone(self);
        connect.map_sqlx_sqlite_pool_opts(move |pool| {
            let (opened, lent) = (Arc::clone(&limit), Arc::clone(&limit));
            pool.after_connect(move |link, _| {
                let limit = Arc::clone(&opened);
                limit.begin();
                Box::pin(async move {
                    let mut handle = link.lock_handle().await?;
                    handle.set_progress_handler(INSTRUCTIONS, move || limit.allows());
                    Ok(())
                })
            })
            .before_acquire(move |link, _| {
                lent.begin();
                let is_free = is_free(link);
                Box::pin(async move { Ok(is_free) })
            })
        });
    }

    fn begin(&self) {
        let until = match u64::try_from(self.timeout.as_millis()) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(timeout) => now().saturating_add(timeout),
        };
        self.until.store(until, Ordering::Relaxed);
    }

    fn end_now(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    fn allows(&self) -> bool {
        now() < self.until.load(Ordering::Relaxed)
    }
}
