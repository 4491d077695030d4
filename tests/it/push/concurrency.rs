//! How many requests a push service gets at once, and that one which does not answer delays no other.

use std::time::{Duration, Instant};

use crate::{
    push::fake_push_service::{Answer, FakePushService, change, register, start},
    support::test_app::{Db, TestApp, TestDatabase, on_each_database},
};

/// Moves the endpoints of devices to another push service.
async fn move_to(app: &TestApp, service: &str, devices: &str) {
    let sql = format!(
        "UPDATE topaz_push_endpoint SET vendor = '{service}' WHERE device_id LIKE '{devices}%'"
    );
    app.db.execute(&sql).await;
}

/// Sends 9 messages of one push service, and returns the greatest number of concurrent requests.
async fn most_running(db: Db, known: Option<&str>) -> usize {
    let service = FakePushService::start_slow(Duration::from_millis(400)).await;
    let app = start(
        TestDatabase::new(db).await,
        &service,
        &["--push-concurrency", "3"],
    )
    .await;
    let ann = app.user("ann");
    let names: Vec<_> = (0..9).map(|n| format!("phone{n}")).collect();
    for name in &names {
        register(&ann, &service.subscribe(name), "EVERY_CHANGE").await;
    }
    if let Some(known) = known {
        move_to(&app, known, "phone").await;
    }
    change(&ann, "laptop", "a").await;
    for name in &names {
        service.until(name, 1).await;
    }
    service.most_running()
}

on_each_database! {
    async fn a_push_service_gets_at_most_push_concurrency_requests_at_once(db: Db) {
        for known in [None, Some("google")] {
            assert_eq!(most_running(db, known).await, 3, "{known:?}");
        }
    }

    async fn a_host_that_does_not_answer_delays_only_its_own_messages(db: Db) {
        let service = FakePushService::start().await;
        let app = start(TestDatabase::new(db).await, &service, &["--push-concurrency", "2"]).await;
        let ann = app.user("ann");
        for name in ["slow0", "slow1", "slow2", "slow3", "quick"] {
            register(&ann, &service.subscribe(name), "EVERY_CHANGE").await;
            service.answer(name, &[Answer::Hang; 9]);
        }
        service.answer("quick", &[]);
        move_to(&app, "slow.example", "slow").await;
        move_to(&app, "quick.example", "quick").await;
        // The slow ones are due first.
        change(&ann, "quick", "a").await;
        service.until("slow0", 1).await;
        let before = Instant::now();
        change(&ann, "laptop", "b").await;
        service.until("quick", 1).await;
        let hung = service.messages().iter().filter(|message| message.answered == Answer::Hang).count();
        assert!(hung <= 2 && before.elapsed().as_secs() < 3, "{hung}: {:?}", before.elapsed());
    }
}
