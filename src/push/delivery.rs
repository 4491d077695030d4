//! What becomes of one claimed endpoint: a message, or the reason why none is sent.
//!
//! **Invariant:** whether to send is decided here, immediately before the request, and not by the device: a worker that
//! shows no notice loses its subscription.

use std::time::Duration;

use metrics::{counter, histogram};
use reqwest::StatusCode;
use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use super::{
    answer::Answer,
    client::Response,
    limits::{MAX_FAILING, PushLimits},
    push_service::label_of,
    sender::Push,
};
use crate::{
    library::{ChangeSummary, Claimed, Error, Library},
    version::Head,
};

/// Time between attempts to store an outcome.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// Delivers to a claimed endpoint. Errors of the database leave the claim to lapse.
pub(super) async fn deliver(library: &Library, push: &Push, endpoint: &Claimed) {
    let delivery = Delivery {
        library,
        push,
        endpoint,
    };
    if let Err(error) = delivery.run().await {
        tracing::debug!(
            error.causes = error.causes(),
            "a push message waits for the database"
        );
    }
}

/// What a test message caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestOutcome {
    /// It was sent. The status of the push service, if it answered.
    Sent(Option<StatusCode>),
    /// The user sent one less than 10 s ago.
    TooSoon,
}

/// Sends a test message to an endpoint. Removes the endpoint if the push service answers that it is gone.
///
/// # Errors
/// When the database does not answer.
pub async fn test(
    library: &Library,
    push: &Push,
    endpoint: &Claimed,
    head: Head,
) -> Result<TestOutcome, Error> {
    if !push.may_test(&endpoint.user) {
        return Ok(TestOutcome::TooSoon);
    }
    let response = push.send_test(endpoint, head).await;
    let delivery = Delivery {
        library,
        push,
        endpoint,
    };
    if delivery.answer(response) == Answer::Gone {
        delivery.remove().await?;
    }
    Ok(TestOutcome::Sent(response.status()))
}

struct Delivery<'d> {
    library: &'d Library,
    push: &'d Push,
    endpoint: &'d Claimed,
}

impl Delivery<'_> {
    async fn run(&self) -> Result<(), Error> {
        let (library, endpoint) = (self.library, self.endpoint);
        let settle = self.limits().push_delay;
        let Some(state) = self.turn(library.device_state(endpoint)).await? else {
            return Ok(());
        };
        if state.is_expired {
            self.skip("expired");
            return self.turn(library.remove_endpoint(endpoint)).await;
        }
        if state.known >= state.head {
            self.skip("applied");
            let knows = library.endpoint_knows(endpoint, state.known, settle);
            return self.turn(knows).await;
        }
        if state.is_live {
            self.skip("live");
            let again = settle.max(Duration::from_secs(1));
            return self.turn(library.postpone_endpoint(endpoint, again)).await;
        }
        let changes = library.change_summary(&endpoint.user, state.known, state.head, true);
        let changes = self.turn(changes).await?;
        if changes.is_only_by(endpoint.device.id()) {
            self.skip("origin");
            let knows = library.endpoint_knows(endpoint, state.head, settle);
            return self.turn(knows).await;
        }
        self.send(state.head, &changes).await
    }

    async fn send(&self, head: Head, changes: &ChangeSummary) -> Result<(), Error> {
        let template = self.push.template();
        let payload = template.payload(head, changes, true);
        let mut answer = self.post(&payload).await;
        if let Answer::TooLarge(_) = answer {
            let short = template.payload(head, changes, false);
            if short.len() < payload.len() {
                answer = self.post(&short).await;
            }
        }
        match answer {
            Answer::Delivered => {
                self.count("library_sync_push_delivered_total");
                if let Some(at) = changes.committed_at {
                    let age = (OffsetDateTime::now_utc() - at).as_seconds_f64().max(0.0);
                    histogram!("library_sync_push_commit_to_accepted_seconds", "vendor" => self.vendor())
                        .record(age);
                }
                self.store_sent(head).await
            }
            Answer::Gone => self.remove().await,
            Answer::TooLarge(after) => self.fail("too_large", after).await,
            Answer::Failed(reason, after) => self.fail(reason, after).await,
        }
    }

    async fn post(&self, payload: &[u8]) -> Answer {
        self.count("library_sync_push_sent_total");
        let response = self.push.send(self.endpoint, payload).await;
        self.answer(response)
    }

    fn answer(&self, response: Response) -> Answer {
        Answer::of(response, self.endpoint.failures, self.limits().push_retry)
    }

    /// Stores a success. It is retried during the lease, because otherwise the message would be sent again.
    async fn store_sent(&self, head: Head) -> Result<(), Error> {
        let (endpoint, settle) = (self.endpoint, self.limits().push_delay);
        let store = async {
            let sent = || self.turn(self.library.endpoint_sent(endpoint, head, settle));
            while let Err(error) = sent().await {
                tracing::debug!(error.causes = error.causes(), "retrying to store a push");
                sleep(STORE_RETRY).await;
            }
        };
        let _ = timeout(self.limits().push_lease, store).await;
        Ok(())
    }

    async fn fail(&self, reason: &'static str, after: Duration) -> Result<(), Error> {
        counter!("library_sync_push_failed_total", "vendor" => self.vendor(), "reason" => reason)
            .increment(1);
        if self.endpoint.failing_for >= MAX_FAILING {
            return self.remove().await;
        }
        self.turn(self.library.endpoint_failed(self.endpoint, after))
            .await
    }

    async fn remove(&self) -> Result<(), Error> {
        self.count("library_sync_push_gone_total");
        self.turn(self.library.remove_endpoint(self.endpoint)).await
    }

    /// Runs a statement when it is its turn.
    async fn turn<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _turn = self.push.database_turn().await;
        statement.await
    }

    fn skip(&self, reason: &'static str) {
        counter!("library_sync_push_skipped_total", "vendor" => self.vendor(), "reason" => reason)
            .increment(1);
    }

    fn count(&self, name: &'static str) {
        counter!(name, "vendor" => self.vendor()).increment(1);
    }

    fn vendor(&self) -> &'static str {
        label_of(&self.endpoint.service)
    }

    fn limits(&self) -> &PushLimits {
        self.push.limits()
    }
}
