//! The servers beside the database: broker, key server, push services and the receiver of the webhook.

use std::time::Duration;

use futures_util::{FutureExt as _, future::join_all};

use super::{
    finding::{Check, Finding},
    remedy,
};
use crate::{
    address::DatabaseAddress,
    app, auth, broker,
    config::{Examination, Serve},
    error_chain::in_one_line,
};

const BROKER: Check = Check("broker");
const KEYS: Check = Check("tokens.keys");
const VAPID: Check = Check("push.vapid");
const SERVICES: Check = Check("push.services");
const WEBHOOK: Check = Check("webhook");

/// Time of a notice between two nodes above which the broker is too far away.
const SLOW: Duration = Duration::from_millis(250);

/// Push services of the browsers: Firefox, Chrome and Edge, Safari.
const BROWSERS: [&str; 3] = [
    "https://updates.push.services.mozilla.com/",
    "https://fcm.googleapis.com/",
    "https://web.push.apple.com/",
];

pub(super) async fn examine(serve: &Serve, examination: &Examination) -> Vec<Finding> {
    let limit = examination.deadline;
    join_all([
        BROKER.within(limit, broker(serve)).boxed(),
        KEYS.within(limit, keys(serve)).boxed(),
        std::future::ready(vapid(serve)).boxed(),
        SERVICES.within(limit, push_services(serve, limit)).boxed(),
        WEBHOOK.within(limit, webhook(serve)).boxed(),
    ])
    .await
}

async fn broker(serve: &Serve) -> Finding {
    let setting = "--broker-url (LIBRARY_SYNC_BROKER_URL)";
    let database = serve.database.url();
    let database = database.and_then(|url| DatabaseAddress::parse(&url.0).ok());
    let database = database.as_ref().and_then(DatabaseAddress::postgres);
    let url = &serve.streams.broker_url.0;
    match broker::round_trips(url, database).await {
        Ok(times) => match times.iter().max() {
            None => BROKER.ok("memory: serves a single node, without a broker"),
            Some(longest) => {
                let found = format!(
                    "a notice takes {:.1} ms between two connections",
                    longest.as_secs_f64() * 1000.0
                );
                if *longest > SLOW {
                    BROKER.warning(
                        found,
                        "run the broker near the servers: each event waits for it",
                    )
                } else {
                    BROKER.ok(found)
                }
            }
        },
        Err(error) => {
            let error = in_one_line(&error);
            let fix = remedy::of_connection(&error, setting);
            BROKER.failed(format!("--broker-url: {error}"), fix)
        }
    }
}

async fn keys(serve: &Serve) -> Finding {
    if let Err(error) = app::authenticator(&serve.keys) {
        return KEYS.failed(
            in_one_line(error.as_ref()),
            "give one of --jwt-secret, --jwt-public-key, --jwks-url and --authjs-secret",
        );
    }
    let Some(url) = &serve.keys.jwks_url else {
        return KEYS.ok("the keys are configured");
    };
    match auth::count_keys(&url.0).await {
        Ok(count) => KEYS.ok(format!("the key server publishes {count} usable keys")),
        Err(error) => KEYS.failed(
            format!("--jwks-url: {}", in_one_line(&error)),
            "open the address of --jwks-url: it must answer 200 with {\"keys\":[…]}, with an RSA, P-256 or Ed25519 key",
        ),
    }
}

fn vapid(serve: &Serve) -> Finding {
    match app::push(&serve.push) {
        Ok(None) => VAPID.skipped("Web Push is off without --vapid-key"),
        Ok(Some(push)) => VAPID.ok(format!("the public key is {}", push.public_key())),
        Err(error) => VAPID.failed(
            in_one_line(error.as_ref()),
            "restore the key that browsers subscribed to; only if it is lost, make one with `library-sync vapid`",
        ),
    }
}

async fn push_services(serve: &Serve, limit: Duration) -> Finding {
    let Ok(Some(push)) = app::push(&serve.push) else {
        return SERVICES.skipped("not examined without a valid --vapid-key");
    };
    let allowed = serve.push.limits.push_allow.as_ref();
    let services = match allowed {
        Some(service) => vec![service.origin()],
        None => BROWSERS.map(str::to_owned).to_vec(),
    };
    // A service that drops packets must not hide the others.
    let each = limit.mul_f64(0.8);
    let reached = services.iter().map(async |service| {
        let reached = tokio::time::timeout(each, push.reach(service)).await;
        let error = match reached {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        Some(format!("{service}: {error}"))
    });
    let faults: Vec<_> = join_all(reached).await.into_iter().flatten().collect();
    let fix = "allow outgoing connections to port 443; no proxy is used for push services";
    if faults.is_empty() {
        SERVICES.ok(format!("{} push services answer", services.len()))
    } else if faults.len() < services.len() {
        SERVICES.warning(faults.join("; "), fix)
    } else {
        SERVICES.failed(faults.join("; "), fix)
    }
}

async fn webhook(serve: &Serve) -> Finding {
    let webhook = match app::webhook(&serve.push) {
        Ok(None) => return WEBHOOK.skipped("--webhook is not set"),
        Ok(Some(webhook)) => webhook,
        Err(error) => {
            return WEBHOOK.failed(
                in_one_line(error.as_ref()),
                "correct the setting, see docs/push.md",
            );
        }
    };
    match webhook.reach().await {
        Ok(status) => WEBHOOK.ok(format!("the receiver answers, with status {status}")),
        Err(error) => WEBHOOK.failed(
            format!("the receiver cannot be reached: {error}"),
            "start the receiver, or correct --webhook",
        ),
    }
}
