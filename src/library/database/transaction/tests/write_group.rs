//! Tests of the invariants of a group of writes.

use std::pin::{Pin, pin};

use futures_util::poll;
use tokio::time::timeout;

use super::*;
use crate::library::error::Error;

/// Long enough for the writes of a test.
const OPEN: Duration = Duration::from_mins(1);

impl Fixture {
    fn groups(&self, max_age: Duration) -> WriteGroups {
        WriteGroups::new(self.db.write.clone(), &self.options, max_age)
    }
}

async fn join(groups: &WriteGroups) -> Transaction {
    soon(Transaction::join(groups)).await.unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    let done = timeout(Duration::from_secs(20), work).await;
    done.expect("done soon")
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Begins a write that waits for its turn.
async fn waiting(groups: &WriteGroups) -> Pending<'_, Transaction> {
    let mut next = Box::pin(join(groups));
    assert!(poll!(&mut next).is_pending());
    next
}

/// Ends a write that inserts `number`, while another one waits for its turn. So its group stays open.
async fn keep_open(tx: Transaction, number: i32) -> Pending<'static, Result<(), DbErr>> {
    insert(&tx, number).await.unwrap();
    let mut ended = Box::pin(tx.commit());
    assert!(
        poll!(&mut ended).is_pending(),
        "answered before its group has committed"
    );
    ended
}

/// Ends the last write of a group, which inserts `number`.
async fn commit_with(tx: Transaction, number: i32) {
    insert(&tx, number).await.unwrap();
    soon(tx.commit()).await.unwrap();
}

/// Begins a write behind another, and returns both: the one that waits for the commit, and the one that has the turn.
async fn two(groups: &WriteGroups) -> (Pending<'static, Result<(), DbErr>>, Transaction) {
    let first = join(groups).await;
    let second = waiting(groups).await;
    let first = keep_open(first, 1).await;
    (first, second.await)
}

#[tokio::test]
async fn no_write_is_answered_before_the_commit_of_its_group() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(OPEN);
    let (mut first, second) = two(&groups).await;
    insert(&second, 2).await.unwrap();
    assert!(poll!(&mut first).is_pending());
    assert_eq!(fixture.stored().await, [0; 0]);
    soon(second.commit()).await.unwrap();
    assert_eq!(fixture.stored().await, [1, 2]);
    soon(first).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_leaves_the_others_of_its_group() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(OPEN);
    let (first, second) = two(&groups).await;
    insert(&second, 2).await.unwrap();
    insert(&second, -1).await.unwrap_err();
    let third = waiting(&groups).await;
    second.roll_back().await.unwrap();
    commit_with(third.await, 3).await;
    soon(first).await.unwrap();
    assert_eq!(fixture.stored().await, [1, 3]);
}

#[tokio::test]
async fn a_group_whose_last_write_fails_is_committed() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(OPEN);
    let (first, second) = two(&groups).await;
    insert(&second, 2).await.unwrap();
    second.roll_back().await.unwrap();
    soon(first).await.unwrap();
    assert_eq!(fixture.stored().await, [1]);
}

#[tokio::test]
async fn a_write_that_is_cancelled_leaves_the_others_of_its_group() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(OPEN);
    let (first, second) = two(&groups).await;
    let third = waiting(&groups).await;
    let slow = "WITH RECURSIVE r(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM r WHERE n < 100000) \
                INSERT INTO number SELECT n FROM r";
    {
        let mut slow = pin!(second.execute_unprepared(slow));
        assert!(poll!(&mut slow).is_pending());
    }
    drop(second);
    commit_with(third.await, 3).await;
    soon(first).await.unwrap();
    assert_eq!(fixture.stored().await, [1, 3]);
}

#[tokio::test]
async fn a_write_that_is_cancelled_alone_is_rolled_back() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(OPEN);
    let first = join(&groups).await;
    insert(&first, 1).await.unwrap();
    drop(first);
    commit_with(join(&groups).await, 2).await;
    assert_eq!(fixture.stored().await, [2]);
}

#[tokio::test]
async fn a_group_whose_commit_fails_fails_each_of_its_writes() {
    let fixture = Fixture::sqlite().await;
    let table = "CREATE TABLE missing (n integer REFERENCES missing_parent (n) DEFERRABLE INITIALLY DEFERRED)";
    for sql in ["CREATE TABLE missing_parent (n integer PRIMARY KEY)", table] {
        fixture.db.write.execute_unprepared(sql).await.unwrap();
    }
    let groups = fixture.groups(OPEN);
    let (first, second) = two(&groups).await;
    // Checked at COMMIT.
    let poison = "INSERT INTO missing VALUES (1)";
    second.execute_unprepared(poison).await.unwrap();
    let third = waiting(&groups).await;
    let second = keep_open(second, 2).await;
    let third = third.await;
    insert(&third, 3).await.unwrap();
    let outcomes = [third.commit().await, soon(first).await, soon(second).await];
    for outcome in outcomes {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("FOREIGN KEY"), "{error}");
    }
    assert_eq!(fixture.stored().await, [0; 0]);
    commit_with(join(&groups).await, 4).await;
    assert_eq!(fixture.stored().await, [4]);
}

#[tokio::test]
async fn a_group_that_sqlite_rolled_back_fails_each_of_its_writes_with_a_retryable_error() {
    for end in [End::Commit, End::RollBack] {
        let fixture = Fixture::sqlite().await;
        let groups = fixture.groups(OPEN);
        let (first, mut second) = two(&groups).await;
        insert(&second, 2).await.unwrap();
        // Bypasses the state, as SQLite does on a full disk.
        let connection = second.link.get_mut().connection().unwrap();
        connection.send("ROLLBACK").await.unwrap();
        match end {
            End::Commit => second.commit().await.unwrap_err(),
            End::RollBack => second.roll_back().await.unwrap_err(),
        };
        let error = soon(first).await.unwrap_err();
        if let End::RollBack = end {
            assert!(matches!(Error::from(error), Error::Unavailable(_)));
        }
        commit_with(join(&groups).await, 3).await;
        assert_eq!(fixture.stored().await, [3]);
    }
}

#[tokio::test]
async fn a_group_that_no_writer_ends_is_committed() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(Duration::from_millis(50));
    let first = join(&groups).await;
    insert(&first, 1).await.unwrap();
    {
        let _second = waiting(&groups).await;
        let mut first = pin!(first.commit());
        assert!(poll!(&mut first).is_pending());
        // Both go away.
    }
    // Needs the connection, which the group has.
    let alone = soon(Transaction::begin(&fixture.db.write, Purpose::Write)).await;
    alone.unwrap().roll_back().await.unwrap();
    assert_eq!(fixture.stored().await, [1]);
}

#[tokio::test]
async fn a_write_does_not_join_an_old_group() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(Duration::ZERO);
    let first = join(&groups).await;
    let second = waiting(&groups).await;
    let first = keep_open(first, 1).await;
    let second = second.await;
    soon(first).await.unwrap();
    assert_eq!(fixture.stored().await, [1]);
    insert(&second, 2).await.unwrap();
    second.roll_back().await.unwrap();
}

#[tokio::test]
async fn who_waits_too_long_for_another_write_gets_a_retryable_error_and_no_outage() {
    let fixture = Fixture::sqlite_that_waits(Duration::from_millis(100)).await;
    let db = &fixture.db;
    let assert_is_refused = async |is_long| {
        let error = soon(db.begin_write(is_long)).await.err().unwrap();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert!(!error.is_outage(), "{:?}", error.causes());
    };
    for is_long in [false, true] {
        let running = db.begin_write(is_long).await.unwrap();
        insert(&running, 1).await.unwrap();
        assert_is_refused(false).await;
        assert_is_refused(true).await;
        // The waits that were given up do not keep the group open.
        soon(running.commit()).await.unwrap();
    }
    let user = crate::version::UserId::new("ann").unwrap();
    let turn = db.admit_write_alone(&user).await.unwrap();
    let running = fixture.begin().await;
    assert_is_refused(false).await;
    running.roll_back().await.unwrap();
    drop(turn);
    let next = db.begin_write(false).await.unwrap();
    next.roll_back().await.unwrap();
    assert_eq!(fixture.stored().await, [1, 1]);
}

#[tokio::test]
async fn a_long_write_ends_the_open_group() {
    let fixture = Fixture::sqlite().await;
    let groups = fixture.groups(OPEN);
    let first = join(&groups).await;
    insert(&first, 1).await.unwrap();
    let mut long = Box::pin(groups.alone());
    assert!(poll!(&mut long).is_pending());
    let mut first = Box::pin(first.commit());
    assert!(poll!(&mut first).is_pending(), "the long write waits");
    let _turn = soon(long).await.unwrap();
    soon(first).await.unwrap();
    assert_eq!(fixture.stored().await, [1]);
}
