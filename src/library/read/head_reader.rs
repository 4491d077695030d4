//! Reads the heads that are requested at the same time in one statement.
//!
//! In the flow: [`Library::head`](crate::library::handle::Library::head) waits here. Requests that arrive during a
//! statement are served together by the next one. Streams that open also wait for others, so that the many that reconnect
//! after a restart cost few statements. Users without a row are created together, in one more statement.
//!
//! **Invariant:** a statement begins after the requests that it serves, so each request sees every commit before it.
//! **Invariant:** one statement runs at a time, except that a slow one delays no later request: after [`SLOW`] the next
//! statement begins beside it.
//! **Invariant:** a statement for streams only begins at least [`GATHERING`] after the one before it. No other request
//! waits for that.
//! **Invariant:** a user whose row is locked, or cannot be created, delays and fails no other user.

use std::{
    collections::HashMap,
    mem,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    library::{
        database::pools::Database,
        entity::user,
        error::Error,
        write::user_row::{find_rows, insert_users},
    },
    version::UserId,
};

/// Maximum requests per statement.
const BATCH: usize = 500;

/// Duration of a statement after which the next one begins beside it.
const SLOW: Duration = Duration::from_millis(100);

/// Least time between the beginnings of two statements of which the second one is for streams only.
const GATHERING: Duration = Duration::from_millis(3);

/// Users that are created concurrently, one per statement, after they could not be created in one statement.
const CONCURRENT: usize = 4;

type Reply = oneshot::Sender<Result<user::Model, Error>>;

/// The requests of each user that a statement serves.
type Waiting = HashMap<UserId, Vec<Reply>>;

/// What a head is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Reason {
    /// A request, which does not wait for others.
    Request,
    /// A stream that opens, which may wait a few milliseconds for others.
    Stream,
}

/// Reads heads in batches. Cheap to clone.
#[derive(Clone)]
pub(in crate::library) struct HeadReader {
    db: Database,
    queue: Arc<Mutex<Queue>>,
    /// Notified when the queue is to be served at once.
    urgent: Arc<Notify>,
    gathering: Duration,
    /// Lower bound of the next new user's epoch. Users that are created together get different epochs.
    next_epoch: Arc<AtomicI64>,
}

#[derive(Default)]
struct Queue {
    requests: Vec<(UserId, Reply)>,
    /// Whether the next statement does not wait for more requests.
    is_urgent: bool,
    /// Whether a task serves the queue.
    is_served: bool,
}

impl HeadReader {
    pub fn new(db: Database) -> Self {
        Self {
            db,
            queue: Arc::default(),
            urgent: Arc::default(),
            gathering: GATHERING,
            next_epoch: Arc::default(),
        }
    }

    /// Returns the user's row, with the head. Creates the user at their first request.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] when another app creates the users and has not created this one.
    pub async fn read(&self, user: &UserId, reason: Reason) -> Result<user::Model, Error> {
        let (reply, row) = oneshot::channel();
        let begins = {
            let mut queue = self.queue.lock();
            queue.requests.push((user.clone(), reply));
            let is_urgent = reason == Reason::Request || queue.requests.len() >= BATCH;
            if is_urgent && !mem::replace(&mut queue.is_urgent, true) {
                self.urgent.notify_one();
            }
            !mem::replace(&mut queue.is_served, true)
        };
        if begins {
            tokio::spawn(self.clone().serve());
        }
        let stopped = |_| Err(Error::unavailable("the server stops"));
        row.await.unwrap_or_else(stopped)
    }

    /// Serves the queue until it is empty, or until a statement is slow. Boxed, because another call may follow.
    fn serve(self) -> BoxFuture<'static, ()> {
        async move {
            let mut service = Service(Some(self.clone()));
            while let Some(waiting) = service.next() {
                let next = Instant::now() + self.gathering;
                {
                    let mut answered = pin!(self.answer(waiting));
                    if timeout(SLOW, answered.as_mut()).await.is_err() {
                        drop(service);
                        return answered.await;
                    }
                }
                if !self.queue.lock().is_urgent {
                    self.gather_until(next).await;
                }
            }
        }
        .boxed()
    }

    /// Waits for requests until the queue is urgent, at most until `next`.
    async fn gather_until(&self, next: Instant) {
        // A notification may be of requests that were served since.
        while timeout_at(next, self.urgent.notified()).await.is_ok() && !self.queue.lock().is_urgent
        {
        }
    }

    async fn answer(&self, mut waiting: Waiting) {
        let found = find_rows(&self.db.kept, waiting.keys());
        match self.db.in_time(found).await {
            Ok(found) => send_rows(&mut waiting, found),
            Err(error) => return send_error(waiting, &error),
        }
        if !waiting.is_empty() {
            self.create(waiting).await;
        }
    }

    /// Creates new users in one statement. If that fails because of one of them, each is created separately.
    async fn create(&self, waiting: Waiting) {
        if let Err((waiting, error)) = self.try_create(waiting).await {
            if waiting.len() == 1 || error.is_outage() {
                return send_error(waiting, &error);
            }
            let each = stream::iter(waiting).for_each_concurrent(CONCURRENT, async |one| {
                if let Err((one, error)) = self.try_create(Waiting::from([one])).await {
                    send_error(one, &error);
                }
            });
            each.await;
        }
    }

    /// Creates new users in one statement and answers their requests, or returns them with the error.
    async fn try_create(&self, mut waiting: Waiting) -> Result<(), (Waiting, Error)> {
        match self.db.in_time(self.insert(&waiting)).await {
            Ok(created) => {
                send_rows(&mut waiting, created);
                send_error(waiting, &Error::fault("the user's new row is missing"));
                Ok(())
            }
            Err(error) => Err((waiting, error)),
        }
    }

    /// Inserts the users' rows, and returns them.
    async fn insert(&self, users: &Waiting) -> Result<Vec<user::Model>, Error> {
        let first_epoch = self.next_epoch.load(Ordering::Relaxed);
        let mut rows = insert_users(&self.db.write, users.keys(), first_epoch).await?;
        if let Some(last) = rows.iter().map(|row| row.library_epoch).max() {
            self.next_epoch.fetch_max(last + 1, Ordering::Relaxed);
        }
        if rows.len() < users.len() {
            // The others were created meanwhile. Read them from the primary: a replica may lack them.
            let is_created = |user: &&UserId| rows.iter().any(|row| row.subject == user.as_str());
            let others: Vec<_> = users.keys().filter(|user| !is_created(user)).collect();
            rows.extend(find_rows(&self.db.kept, others).await?);
        }
        Ok(rows)
    }
}

/// Sends the `rows`, and removes their requests.
fn send_rows(waiting: &mut Waiting, rows: Vec<user::Model>) {
    let mut rows: HashMap<_, _> = rows
        .into_iter()
        .map(|row| (row.subject.clone(), row))
        .collect();
    waiting.retain(|user, replies| {
        let Some(row) = rows.remove(user.as_str()) else {
            return true;
        };
        for reply in replies.drain(..) {
            // The caller may be gone.
            let _ = reply.send(Ok(row.clone()));
        }
        false
    });
}

fn send_error(waiting: Waiting, error: &Error) {
    for reply in waiting.into_values().flatten() {
        let _ = reply.send(Err(error.clone()));
    }
}

/// The task that serves the queue. Dropping it before the queue is empty starts another.
struct Service(Option<HeadReader>);

impl Service {
    /// Takes the oldest requests. `None` when there are none, which ends the service.
    fn next(&mut self) -> Option<Waiting> {
        let mut queue = self.0.as_ref()?.queue.lock();
        if queue.requests.is_empty() {
            queue.is_served = false;
            drop(queue);
            self.0 = None;
            return None;
        }
        let count = queue.requests.len().min(BATCH);
        queue.is_urgent = queue.requests.len() > BATCH;
        let mut waiting = Waiting::new();
        for (user, reply) in queue.requests.drain(..count) {
            waiting.entry(user).or_default().push(reply);
        }
        Some(waiting)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A runtime that stops drops the requests too.
        if let (Some(reader), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(reader.serve());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use migration::Migrator;
    use sea_orm_migration::MigratorTrait as _;
    use tempfile::TempDir;

    use super::*;
    use crate::library::database::options::DatabaseOptions;

    /// What must not happen does not happen for this long.
    const WHILE: Duration = Duration::from_millis(100);
    /// The deadline of what must happen.
    const LIMIT: Duration = Duration::from_secs(10);

    /// A reader of a database, whose streams gather for an hour.
    async fn reader() -> (HeadReader, TempDir) {
        let folder = TempDir::with_prefix("library-sync-test-").unwrap();
        let url = format!(
            "sqlite://{}?mode=rwc",
            folder.path().join("library.db").display()
        );
        let db = Database::connect(&DatabaseOptions::for_test(&url))
            .await
            .unwrap();
        Migrator::up(&db.write, None).await.unwrap();
        let mut reader = HeadReader::new(db);
        reader.gathering = Duration::from_hours(1);
        (reader, folder)
    }

    fn users(count: usize) -> Vec<UserId> {
        let user = |n| UserId::new(&format!("user-{n}")).unwrap();
        (0..count).map(user).collect()
    }

    #[tokio::test]
    async fn streams_wait_for_others_until_another_request_comes() {
        let (reader, _folder) = reader().await;
        let users = users(3);
        // Nobody waits before the first statement.
        reader.read(&users[0], Reason::Stream).await.unwrap();
        let mut streams = pin!(join_all(
            users.iter().map(|user| reader.read(user, Reason::Stream))
        ));
        assert!(timeout(WHILE, streams.as_mut()).await.is_err());
        let check = reader.read(&users[0], Reason::Request);
        timeout(LIMIT, check).await.unwrap().unwrap();
        let rows = timeout(LIMIT, streams).await.unwrap();
        assert!(rows.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn streams_that_fill_a_statement_do_not_wait() {
        let (reader, _folder) = reader().await;
        let users = users(BATCH);
        reader.read(&users[0], Reason::Stream).await.unwrap();
        let streams = join_all(users.iter().map(|user| reader.read(user, Reason::Stream)));
        let rows = timeout(LIMIT, streams).await.unwrap();
        assert!(rows.iter().all(Result::is_ok));
    }
}
