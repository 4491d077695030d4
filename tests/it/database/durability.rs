//! Durability: after any fault of the disk, the server or the database, every acknowledged change is in the database as
//! another process reads it, and versions have no gap and no repeat.
//!
//! Several users change their libraries at once while the database's disk is full, writes, fsyncs and truncations fail
//! (`faults.c`, preloaded into SQLite's process, which is the server, or PostgreSQL's), and the server or PostgreSQL is
//! killed by SIGKILL. After each fault, every acknowledged change is read on a direct connection, and every user's
//! next change must be acknowledged.
//!
//! The database is on a tmpfs, which is filled to fill the disk. Where mounting one is not allowed, the shim refuses to
//! let files grow.
//!
//! The suite runs it for some seconds. A longer run, as CONTRIBUTING.md says:
//! `LIBRARY_SYNC_TEST_DURABILITY=30m scripts/test an_acknowledged_change_survives`. It prints its seed; the order of faults follows from
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

/// How long a fault lasts in the short run, and in the long one.
const SHORT: Duration = Duration::from_millis(900);
const LONG: Duration = Duration::from_secs(3);

/// How many changes are stored before the run continues on an empty disk: a disk holds about 7,000 of them.
const DISK_HOLDS: usize = 4_000;

/// How many changes of one user are in flight at once.
const IN_FLIGHT: usize = 2;

/// Their changes share commits on SQLite.
const USERS: [&str; 10] = [
    "ann", "bob", "cleo", "dan", "eve", "finn", "gus", "hal", "ida", "joy",
];

/// A fault that is injected while changes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disruption {
    Fault(Fault),
    KillServer,
    KillDatabase,
}

impl Disruption {
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
    async fn an_acknowledged_change_survives_every_fault(db: Db) {
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
            let mut disruptions = Disruption::all(db);
            fastrand::shuffle(&mut disruptions);
            for disruption in disruptions {
                let duration = if long.is_some() { LONG } else { SHORT };
                disrupt(&mut rig, &ledger, disruption, duration).await;
            }
            let injected = faults + rig.faults.injected();
            println!("{:?}: {ledger}, {injected} faults", began.elapsed());
            if long.is_none_or(|long| began.elapsed() >= long) {
                assert!(injected > 0, "no fault was injected");
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

/// Makes changes during a disruption, and then checks what is stored.
async fn disrupt(rig: &mut Rig, ledger: &Arc<Ledger>, disruption: Disruption, duration: Duration) {
    let stop = CancellationToken::new();
    let mut writers = tokio::task::JoinSet::new();
    for user in USERS {
        for _ in 0..IN_FLIGHT {
            let (sender, ledger, stop) = (rig.sender(), Arc::clone(ledger), stop.clone());
            writers.spawn(async move {
                while !stop.is_cancelled() {
                    sender.change(user, &ledger).await;
                }
            });
        }
    }
    match disruption {
        Disruption::Fault(fault) => {
            let running_fault = rig.faults.begin(fault);
            sleep(duration).await;
            drop(running_fault);
        }
        Disruption::KillServer => {
            sleep(duration / 3).await;
            rig.kill_server();
        }
        Disruption::KillDatabase => {
            sleep(duration / 3).await;
            rig.kill_database();
        }
    }
    stop.cancel();
    while let Some(writer) = soon("the last changes are acknowledged", writers.join_next()).await {
        writer.unwrap();
    }
    let why = format!("after {disruption:?}, seed {}", rig.seed);
    if disruption == Disruption::KillServer && rig.db == Db::Sqlite {
        // In the state that the killed process left.
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
    async fn changes_acknowledged_after_a_full_disk_are_stored(db: Db) {
        let rig = Rig::start(db, seed()).await;
        let ledger = Ledger::default();
        let sender = rig.sender();
        for user in USERS {
            assert!(sender.change(user, &ledger).await);
        }
        let running_fault = rig.faults.begin(Fault::FullDisk);
        soon("changes are refused", async {
            while ledger.refused() < 2 {
                sender.change("ann", &ledger).await;
            }
        })
        .await;
        drop(running_fault);
        for user in USERS.iter().cycle().take(20) {
            soon("a change", async { while !sender.change(user, &ledger).await {} }).await;
        }
        ledger.check(&rig.database(), "after the disk was full").await;
    }

    async fn a_full_disk_is_reported_once(db: Db) {
        let rig = Rig::start(db, seed()).await;
        let ledger = Ledger::default();
        let sender = rig.sender();
        assert!(sender.change("ann", &ledger).await);
        assert_eq!(rig.status("/readyz").await, StatusCode::OK);

        let running_fault = rig.faults.begin(Fault::FullDisk);
        soon("/readyz says 503", async {
            while rig.status("/readyz").await != StatusCode::SERVICE_UNAVAILABLE {
                sender.change("ann", &ledger).await;
            }
        })
        .await;
        assert_eq!(rig.status("/healthz").await, StatusCode::OK);
        // A refusal is not a library result, so clients and proxies see it in the status.
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
        drop(running_fault);

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
        ledger.check(&rig.database(), "after the disk was full").await;
    }
}

/// A change that needs more disk space than a small one.
fn story() -> Value {
    let query = "mutation ($input: CreateStoryWithProgressInput!) { createStoryWithProgress(input: $input) { libraryVersion } }";
    let description: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(9_000)
        .collect();
    let url = format!("https://example.org/{}", fastrand::u64(..));
    json!({"query": query, "variables": {"input": {"title": "A", "url": url, "description": description}}})
}
