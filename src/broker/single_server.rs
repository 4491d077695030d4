//! A broker with one connection: PostgreSQL, a single Redis server, NATS.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use metrics::gauge;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    address::Address,
    connection::Route,
    inbox::Inbox,
    notice::{Broker, Listener, Notice, Signal},
    reconnect::ConnectionSupervisor,
    timing::Timing,
};
use crate::version::UserId;

/// A supervisor and its task.
pub(super) struct SingleServer<R> {
    supervisor: Arc<ConnectionSupervisor>,
    inbox: Arc<Inbox>,
    /// Taken at the start.
    route: Mutex<Option<R>>,
    tasks: Tasks,
}

impl<R: Route> SingleServer<R> {
    /// Creates a broker that is not started.
    pub fn new(name: &'static str, route: R, address: &Address, timing: Timing) -> Self {
        let inbox = Arc::new(Inbox::new(name, address.options.lose));
        Self {
            supervisor: Arc::new(ConnectionSupervisor::new(Arc::clone(&inbox), timing)),
            inbox,
            route: Mutex::new(Some(route)),
            tasks: Tasks::default(),
        }
    }
}

impl<R: Route> Broker for SingleServer<R> {
    fn publish(&self, notice: Notice) {
        self.inbox.deliver(Signal::Notice(notice.clone()));
        self.supervisor.send(notice);
    }

    fn listen(&self, listener: Listener) {
        if self.inbox.listen(listener)
            && let Some(route) = self.route.lock().take()
        {
            let run = Arc::clone(&self.supervisor).run(route, self.tasks.stop.clone());
            self.tasks.running.spawn(run);
        }
    }

    fn watch(&self, user: &UserId) {
        if self.supervisor.interest.watch(user, 1) {
            watched(&self.inbox).increment(1);
        }
    }

    fn unwatch(&self, user: &UserId) {
        if self.supervisor.interest.unwatch(user) {
            watched(&self.inbox).decrement(1);
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            self.supervisor.flush().await;
            self.tasks.end().await;
        }
        .boxed()
    }
}

impl<R> Drop for SingleServer<R> {
    fn drop(&mut self) {
        self.tasks.stop.cancel();
    }
}

/// Returns the gauge of watched users.
pub(super) fn watched(inbox: &Inbox) -> metrics::Gauge {
    gauge!("library_sync_broker_watched_users", "broker" => inbox.broker)
}

/// The tasks of a broker, which end when `stop` is cancelled.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    pub running: TaskTracker,
    pub stop: CancellationToken,
}

impl Tasks {
    /// Stops the tasks and waits for their end.
    pub async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}
