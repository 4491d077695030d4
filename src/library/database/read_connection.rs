//! The connections that read for users, each lent to one user's statement or snapshot at a time.
//!
//! In the flow: every read of a library takes a [`Reader`] and runs its statements on it. PostgreSQL's come from one
//! pool. Each of SQLite's is a pool of its own, so that the time limit of what runs on it can be set from outside.
//!
//! A reader that is dropped while its statement runs (the client left, or the operation took too long) stops the
//! statement: SQLite is interrupted; a PostgreSQL connection is closed after [`SETTLES_WITHIN`], which its server
//! notices by itself (`client_connection_check_interval`).
//!
//! **Invariant:** a user has at most as many connections that read as [`Turns`] allows, those included on which a
//! statement was cut off and has not ended yet.

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
    transaction::is_free,
};
use crate::{library::error::Error, version::UserId};

/// How often a PostgreSQL server that runs a statement looks whether its client is still there.
const LOOKS_FOR_CLIENT_EVERY: &str = "250ms";

/// How many instructions SQLite's virtual machine runs between two looks at the clock: some 10 µs.
const INSTRUCTIONS: i32 = 1_000;

/// How long a PostgreSQL connection may take to show that it lives before it goes back into its pool. One on which a
/// statement was cut off and runs on does not, and is closed.
pub(in crate::library) const SETTLES_WITHIN: Duration = Duration::from_millis(500);

/// The connections that read from one database.
#[derive(Debug)]
pub(in crate::library) struct Readers {
    origin: Origin,
    /// Open, and lent to nobody.
    idle: Mutex<Vec<Link>>,
    turns: Arc<FairQueue>,
    wait: Duration,
}

/// Where connections come from.
#[derive(Debug)]
pub(in crate::library) enum Origin {
    /// One pool.
    Pool(DatabaseConnection),
    /// A SQLite database, opened once for each connection.
    Sqlite {
        connect: Box<ConnectOptions>,
        /// How long a statement may run. Zero: without end.
        timeout: Duration,
        /// Counts and times the statements of a connection.
        observe: fn(DatabaseConnection) -> DatabaseConnection,
    },
}

#[derive(Debug)]
struct Link {
    db: DatabaseConnection,
    limit: Option<Arc<TimeLimit>>,
}

/// A connection that reads for one user.
#[derive(Debug)]
pub(in crate::library) struct Reader {
    readers: Arc<Readers>,
    /// None once it was given back.
    lent: Option<(Link, Admission)>,
    /// Whether something runs on it. Still so when it is dropped: then that was cut off.
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
    /// [`Error::Unavailable`] when it is not within the time that a request waits.
    pub async fn lend(self: &Arc<Self>, user: &UserId) -> Result<Reader, Error> {
        let turn = self.turns.take(user, Act::Read, self.wait).await?;
        let idle = self.idle.lock().pop();
        let link = match idle {
            Some(link) => link,
            // Boxed, because it is large and seldom.
            None => Box::pin(self.origin.open()).await?,
        };
        Ok(Reader {
            readers: Arc::clone(self),
            lent: Some((link, turn)),
            is_busy: AtomicBool::new(false),
        })
    }

    /// Closes the connections that are lent to nobody.
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
            Self::Pool(pool) => Ok(Link {
                db: pool.clone(),
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
    /// Stops what runs on it.
    fn interrupt(&self) {
        if let Some(limit) = &self.limit {
            limit.end_now();
        }
    }

    /// Waits until what was cut off has ended.
    async fn settle(&self) {
        if self.limit.is_some() {
            // There is one connection in this pool, so it is back when it can be had.
            let _ = self.db.ping().await;
        } else {
            // Within this time it is back in its pool, or closed.
            tokio::time::sleep(SETTLES_WITHIN).await;
        }
    }
}

impl Reader {
    /// The pool that it reads through, for a transaction. What runs there must be between
    /// [`Reader::begin_work`] and [`Reader::end_work`].
    pub fn pool(&self) -> Result<&DatabaseConnection, DbErr> {
        let lent = self.lent.as_ref().map(|(link, _)| &link.db);
        lent.ok_or_else(|| DbErr::Custom("a reader was used after it was given back".to_owned()))
    }

    /// Something runs from now on.
    pub fn begin_work(&self) {
        self.is_busy.store(true, Ordering::Relaxed);
    }

    /// It has ended.
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
            Origin::Pool(pool) => pool.get_database_backend(),
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
        self.run(self.pool()?.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(self.pool()?.query_all_raw(statement)).await
    }
}

fn writes() -> DbErr {
    DbErr::Custom("a reader was asked to write".to_owned())
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some((link, turn)) = self.lent.take() else {
            return;
        };
        let readers = Arc::clone(&self.readers);
        let give_back = move |link: Link, turn: Admission| {
            readers.idle.lock().push(link);
            // After it, so that whoever is next finds it.
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

/// Makes a PostgreSQL server end a statement whose client has gone. One before version 14, or on a system that cannot
/// tell, goes on until the statement has ended or run out of time.
pub(in crate::library) async fn look_for_client(link: &mut PgConnection) -> Result<(), SqlxError> {
    let set = "SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'client_connection_check_interval'";
    match sqlx::query(set)
        .bind(LOOKS_FOR_CLIENT_EVERY)
        .execute(link)
        .await
    {
        Ok(_) | Err(SqlxError::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Until when what runs on one SQLite connection may run.
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
    /// Zero is no limit.
    fn new(timeout: Duration) -> Self {
        Self {
            until: AtomicU64::new(u64::MAX),
            timeout,
        }
    }

    /// Makes SQLite ask, and the time begin anew whenever the connection is lent.
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
