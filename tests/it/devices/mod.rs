//! The devices of a user: what is listed, how it is stored, and why a device is not up to date.

mod listing;
mod operators_page;
mod sessions;
mod storing;
mod verdicts;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::test_app::{DEADLINE, TestApp, TestUser};

/// All that is known of the user's devices.
pub const DEVICES: &str = "{ viewer { devices { id name platform client lastSeenAt appliedVersion appliedHead behind \
    pending { count oldestAt error } streams { transport node openedAt } pushEndpoint { pace } verdict verdictSince } } }";

/// The user's devices.
pub async fn devices(user: &TestUser<'_>) -> Vec<Value> {
    let mut response = user.ask(DEVICES, json!({})).await;
    let devices = response["viewer"]["devices"].take();
    devices.as_array().expect("a list").clone()
}

/// The user's device of this id; null if there is none.
pub async fn device(user: &TestUser<'_>, id: &str) -> Value {
    let devices = devices(user).await;
    let found = devices.into_iter().find(|device| device["id"] == id);
    found.unwrap_or_default()
}

/// Waits until the user's device is as `is_expected` says, and returns it.
pub async fn until(
    user: &TestUser<'_>,
    id: &str,
    what: &str,
    is_expected: impl Fn(&Value) -> bool,
) -> Value {
    let mut last = Value::Null;
    let waiting = async {
        loop {
            last = device(user, id).await;
            if is_expected(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(waited.is_ok(), "{what}: {last}");
    last
}

/// Checks the version as a device, with these headers.
pub async fn check(app: &TestApp, token: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = app
        .http
        .get(app.url("/api/library-version"))
        .bearer_auth(token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}
