//! Nothing acknowledged is lost: whatever fails below the server, every change that was answered is in the database as
//! another process reads it, and versions have neither gap nor repeat.
//!
//! Several users change their libraries at once while the database's disk is full, writes, fsyncs and truncations fail
//! (`faults.c`, preloaded into SQLite's process, which is the server, or PostgreSQL's), and the server or PostgreSQL is
//! killed by SIGKILL. After each fault, everything that was answered is looked up around the server, and every user's
//! next change must be answered.
//!
//! The database is on a tmpfs, which is filled to fill the disk. Where mounting one is not allowed, the shim refuses to
//! let files grow instead.
//!
//! The suite runs it for some seconds. Longer, as CONTRIBUTING.md says:
//! `LIBRARY_SYNC_TEST_DURABILITY=30m scripts/test an_answered_change_survives`. It prints its seed; the order of faults follows from
//! `LIBRARY_SYNC_TEST_SEED`, though not what they hit.

mod faults;
mod ledger;
mod rig;

use std::{sync::Arc, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::{faults::Fault, ledger::Ledger, rig::Rig};
use crate::support::test_app::{Db, on_each_database, soon, token};

/// How long a fault lasts in the short form, and in the long one.
const SHORT: Duration = Duration::from_millis(900);
const LONG: Duration = Duration::from_secs(3);

/// How many changes are stored before the run continues on an empty disk: a disk holds about 7,000 of them.
const DISK_HOLDS: usize = 4_000;

/// How many changes of one user are under way at once.
const AT_ONCE: usize = 2;

const USERS: [&str; 4] = ["ann", "bob", "cleo", "dan"];

/// What is done to the database, or to the server, while changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Fault(Fault),
    KillServer,
    KillDatabase,
}

impl Trouble {
    fn all(db: Db) -> Vec<Self> {
        let mut all = vec![
            Self::Fault(Fault::FullDisk),
            Self::Fault(Fault::Writes),
            Self::Fault(Fault::Syncs),
            Self::KillServer,
        ];
        match db {
            Db::Sqlite => all.push(Self::Fault(Fault::Everything)),
            Db::Postgres => all.push(Self::KillDatabase),
        }
        all
    }
}

on_each_database! {
    async fn an_answered_change_survives_every_fault(db: Db) {
        let seed = seed();
        fastrand::seed(seed);
        let long = std::env::var("LIBRARY_SYNC_TEST_DURABILITY").ok();
        let long = long.map(|text| humantime::parse_duration(&text).expect("LIBRARY_SYNC_TEST_DURABILITY"));
        println!("durability on {db:?}: LIBRARY_SYNC_TEST_SEED={seed}");
        let mut rig = Rig::start(db, seed).await;
        let ledger = Arc::new(Ledger::default());
        let mut faults = 0;
        for user in USERS {
            assert!(rig.sender().change(user, &ledger).await);
        }
        let began = Instant::now();
        loop {
            let mut troubles = Trouble::all(db);
            fastrand::shuffle(&mut troubles);
            for trouble in troubles {
                let lasting = if long.is_some() { LONG } else { SHORT };
                suffer(&mut rig, &ledger, trouble, lasting).await;
            }
            let injected = faults + rig.faults.injected();
            println!("{:?}: {ledger}, {injected} faults", began.elapsed());
            if long.is_none_or(|long| began.elapsed() >= long) {
                assert!(injected > 0, "no fault was met");
                break;
            }
            if ledger.stored() >= DISK_HOLDS {
                faults = injected;
                rig = Rig::start(db, seed).await;
                ledger.begin_disk();
            }
        }
        assert!(ledger.refused() > 0, "nothing was refused");
    }
}

fn seed() -> u64 {
    let given = std::env::var("LIBRARY_SYNC_TEST_SEED").ok();
    given.map_or_else(
        || fastrand::u64(..),
        |seed| seed.parse().expect("LIBRARY_SYNC_TEST_SEED"),
    )
}

/// Makes changes amid a trouble, and then looks at what was kept.
async fn suffer(rig: &mut Rig, ledger: &Arc<Ledger>, trouble: Trouble, lasting: Duration) {
    let stop = CancellationToken::new();
    let mut writers = tokio::task::JoinSet::new();
    for user in USERS {
        for _ in 0..AT_ONCE {
            let (sender, ledger, stop) = (rig.sender(), Arc::clone(ledger), stop.clone());
            writers.spawn(async move {
                while !stop.is_cancelled() {
                    sender.change(user, &ledger).await;
                }
            });
        }
    }
    match trouble {
        Trouble::Fault(fault) => {
            let mended = rig.faults.begin(fault);
            sleep(lasting).await;
            drop(mended);
        }
        Trouble::KillServer => {
            sleep(lasting / 3).await;
            rig.kill_server();
        }
        Trouble::KillDatabase => {
            sleep(lasting / 3).await;
            rig.kill_database();
        }
    }
    stop.cancel();
    while let Some(writer) = soon("the last changes are answered", writers.join_next()).await {
        writer.unwrap();
    }
    let why = format!("after {trouble:?}, seed {}", rig.seed);
    if trouble == Trouble::KillServer && rig.db == Db::Sqlite {
        // As the killed process left it.
        ledger.check(&rig.database(), &why).await;
    }
    rig.start_what_is_down().await;
    let sender = rig.sender();
    for user in USERS {
        soon(&format!("a change {why}"), async {
            while !sender.change(user, ledger).await {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    ledger.check(&rig.database(), &why).await;
}

on_each_database! {
    async fn what_is_answered_after_the_disk_was_full_is_stored(db: Db) {
        let rig = Rig::start(db, seed()).await;
        let ledger = Ledger::default();
        let sender = rig.sender();
        for user in USERS {
            assert!(sender.change(user, &ledger).await);
        }
        let mended = rig.faults.begin(Fault::FullDisk);
        soon("changes are refused", async {
            while ledger.refused() < 2 {
                sender.change("ann", &ledger).await;
            }
        })
        .await;
        drop(mended);
        for user in USERS.iter().cycle().take(20) {
            soon("a change", async { while !sender.change(user, &ledger).await {} }).await;
        }
        ledger.check(&rig.database(), "once there is room again").await;
    }

    async fn a_full_disk_is_reported_once(db: Db) {
        let rig = Rig::start(db, seed()).await;
        let ledger = Ledger::default();
        let sender = rig.sender();
        assert!(sender.change("ann", &ledger).await);
        assert_eq!(rig.status("/readyz").await, StatusCode::OK);

        let mended = rig.faults.begin(Fault::FullDisk);
        soon("/readyz says 503", async {
            while rig.status("/readyz").await != StatusCode::SERVICE_UNAVAILABLE {
                sender.change("ann", &ledger).await;
            }
        })
        .await;
        assert_eq!(rig.status("/healthz").await, StatusCode::OK);
        // A refusal is not an answer of the library, so clients and proxies see it in the status.
        for (accept, body) in [
            ("application/json", story()),
            ("application/graphql-response+json", story()),
            ("application/json", json!([story(), story()])),
        ] {
            let request = rig.http.post(rig.url("/graphql")).bearer_auth(token("ann"));
            let refused = soon("a refusal", request.header("accept", accept).json(&body).send());
            let refused = refused.await.unwrap();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{accept}");
            assert!(refused.headers().contains_key("retry-after"), "{accept}");
        }
        drop(mended);

        soon("/readyz says 200", async {
            while rig.status("/readyz").await != StatusCode::OK {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        soon("the log says that the database is back", async {
            while rig.log().matches("database back").count() == 0 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let log = rig.log();
        assert_eq!(log.matches("database lost").count(), 1, "{log}");
        assert_eq!(log.matches("database back").count(), 1, "{log}");
        assert_eq!(log.matches("ERROR").count(), 1, "{log}");
        assert!(ledger.refused() > 0);
        ledger.check(&rig.database(), "once there is room again").await;
    }
}

/// A change that needs more room than a small one.
fn story() -> Value {
    let query = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion } }";
    let description: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(9_000)
        .collect();
    let url = format!("https://example.org/{}", fastrand::u64(..));
    json!({"query": query, "variables": {"input": {"title": "A", "url": url, "description": description}}})
}
