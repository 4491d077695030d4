//! The worker of a node: stores the activity of devices, finds what is due, claims it, and has it delivered.
//!
//! Workers of different nodes coordinate through claims in the database only.
//!
//! **Invariant:** an error of the database delays messages and loses none: the next round repeats what failed.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{delivery::deliver, limits::PushLimits, sender::Push, webhook::Webhook};
use crate::{
    hub::Hub,
    library::{ConsecutiveFailures, Error, Library},
};

/// Time between two rounds without a change on this node.
const ROUND: Duration = Duration::from_secs(1);

/// Minimum time between two rounds, in which changes coalesce.
const MIN_ROUND: Duration = Duration::from_millis(100);

/// Maximum number of users in one claim of the webhook.
const CLAIM: usize = 64;

/// Maximum time for requests in progress to end after shutdown began.
const SHUTDOWN: Duration = Duration::from_secs(4);

/// What a worker serves: Web Push, a webhook, or both.
#[derive(Clone)]
pub struct Worker {
    library: Library,
    push: Option<Push>,
    webhook: Option<Webhook>,
    limits: PushLimits,
    /// Notified when a push service takes another request.
    finished: Arc<Notify>,
}

impl Worker {
    /// Creates a worker, and lets it observe the notices of this node. `None` if there is nothing to serve. Call it
    /// before the node serves: changes before the first call of all are not reported to the webhook.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn new(
        library: &Library,
        hub: &Arc<Hub>,
        push: Option<Push>,
        webhook: Option<Webhook>,
    ) -> Result<Option<Self>, Error> {
        let limits = push.as_ref().map(Push::limits);
        let Some(limits) = limits.or(webhook.as_ref().map(Webhook::limits)).cloned() else {
            return Ok(None);
        };
        let devices = library.devices().clone();
        if push.is_some() {
            devices.enable();
        }
        if webhook.is_some() {
            library.begin_webhook().await?;
            devices.enable_webhook();
        }
        hub.observe(Arc::new(move |notice| {
            devices.note_head(&notice.user, notice.head);
        }));
        Ok(Some(Self {
            library: library.clone(),
            push,
            webhook,
            limits,
            finished: Arc::default(),
        }))
    }

    /// Works until `ended`, then waits for requests in progress.
    pub async fn run(self, ended: CancellationToken) {
        let requests = TaskTracker::new();
        let mut schedule = Schedule::new();
        let mut failures = ConsecutiveFailures::default();
        while !ended.is_cancelled() {
            let began = Instant::now();
            let done = self.round(&mut schedule, &requests).await;
            if let Some(error) = failures.first(&done) {
                tracing::warn!(
                    error.causes = error.causes(),
                    "push messages wait for the database"
                );
            }
            tokio::select! {
                () = ended.cancelled() => {}
                () = sleep(ROUND) => {}
                // What was due may be more than the push services took at once.
                () = self.finished.notified() => {}
                () = self.library.devices().woken() => {
                    let rest = MIN_ROUND.saturating_sub(began.elapsed());
                    let _ = timeout(rest, ended.cancelled()).await;
                }
            }
        }
        requests.close();
        let _ = timeout(SHUTDOWN, requests.wait()).await;
        // Streams have ended: other nodes may send to their devices at once.
        let (lease, settle) = (self.limits.push_lease, self.limits.push_delay);
        let _ = self.library.save_presence(false, lease, settle).await;
        let _ = self.library.save_reports().await;
    }

    async fn round(&self, schedule: &mut Schedule, requests: &TaskTracker) -> Result<(), Error> {
        if let Some(push) = &self.push {
            self.push_round(push, schedule, requests).await?;
        }
        if let Some(webhook) = &self.webhook {
            self.webhook_round(webhook, schedule, requests).await?;
        }
        Ok(())
    }

    async fn push_round(
        &self,
        push: &Push,
        schedule: &mut Schedule,
        requests: &TaskTracker,
    ) -> Result<(), Error> {
        let (library, settle) = (&self.library, self.limits.push_delay);
        let is_sweep = schedule.push_sweep.is_due();
        if is_sweep {
            schedule.users_since = library.load_endpoint_users(schedule.users_since).await?;
        }
        if library.devices().is_idle() {
            schedule.push_sweep.done(self.limits.push_sweep);
            return Ok(());
        }
        let lease = self.limits.push_lease;
        let renews = schedule.renewal.is_due();
        library.save_presence(renews, lease, settle).await?;
        if renews {
            schedule.renewal.done(lease / 3);
        }
        library.save_reports().await?;
        library.mark_changed(settle).await?;
        if is_sweep {
            library.mark_missed(settle).await?;
            schedule.push_sweep.done(self.limits.push_sweep);
        }
        self.claim(push, requests).await
    }

    /// Claims what is due until nothing is left, or no push service takes another request.
    async fn claim(&self, push: &Push, requests: &TaskTracker) -> Result<(), Error> {
        loop {
            let claimable = push.concurrency().claimable();
            let most = claimable.most;
            if most == 0 {
                return Ok(());
            }
            let lease = self.limits.push_lease;
            let claimed = self.library.claim_endpoints(&claimable, lease).await?;
            let count = claimed.len();
            for endpoint in claimed {
                let (library, push) = (self.library.clone(), push.clone());
                let permit = push.concurrency().try_permit(&endpoint.service);
                let finished = Arc::clone(&self.finished);
                requests.spawn(async move {
                    // A test message may have taken the permit.
                    let permit = match permit {
                        Some(permit) => permit,
                        None => push.concurrency().permit(&endpoint.service).await,
                    };
                    deliver(&library, &push, &endpoint).await;
                    drop(permit);
                    finished.notify_one();
                });
            }
            if count < most {
                return Ok(());
            }
        }
    }

    async fn webhook_round(
        &self,
        webhook: &Webhook,
        schedule: &mut Schedule,
        requests: &TaskTracker,
    ) -> Result<(), Error> {
        let library = &self.library;
        if schedule.webhook_sweep.is_due() {
            library.mark_missed_webhook_users().await?;
            schedule.webhook_sweep.done(self.limits.push_sweep);
        }
        let changed = library.devices().take_webhook_changed();
        if let Err(error) = library.mark_webhook_users(&changed).await {
            // The sweep finds them.
            schedule.webhook_sweep.due_now();
            return Err(error);
        }
        let mut permits = webhook.permits();
        permits.truncate(CLAIM);
        if permits.is_empty() {
            return Ok(());
        }
        let lease = self.limits.push_lease;
        let calls = library.claim_webhook_calls(permits.len(), lease).await?;
        for (call, permit) in calls.into_iter().zip(permits) {
            let (library, webhook) = (library.clone(), webhook.clone());
            requests.spawn(async move {
                webhook.call(library, call).await;
                drop(permit);
            });
        }
        Ok(())
    }
}

/// When the periodic work is due. All of it is due at first.
struct Schedule {
    push_sweep: Due,
    renewal: Due,
    webhook_sweep: Due,
    /// Endpoints registered before this time are known.
    users_since: OffsetDateTime,
}

impl Schedule {
    fn new() -> Self {
        Self {
            push_sweep: Due::default(),
            renewal: Due::default(),
            webhook_sweep: Due::default(),
            users_since: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

/// The time at which periodic work is due; `None` for now.
#[derive(Default)]
struct Due(Option<Instant>);

impl Due {
    fn is_due(&self) -> bool {
        self.0.is_none_or(|at| at <= Instant::now())
    }

    /// Schedules the next time, with jitter, so that nodes do not work at the same moment.
    fn done(&mut self, period: Duration) {
        let period = period.mul_f64(0.8 + 0.2 * fastrand::f64());
        self.0 = Some(Instant::now() + period);
    }

    fn due_now(&mut self) {
        self.0 = None;
    }
}
