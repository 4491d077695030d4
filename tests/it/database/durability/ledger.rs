//! What was answered, to be compared with what is stored.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

use crate::support::test_app::TestDatabase;

/// A change that was answered.
#[derive(Debug, Clone)]
pub struct Answered {
    pub user: &'static str,
    /// The row that it made.
    pub name: String,
    pub version: i64,
}

/// Every answer so far.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// Those on the present disk.
    answered: Vec<Answered>,
    /// How many were on the disks before it.
    earlier: usize,
    refused: usize,
    unanswered: usize,
}

impl Ledger {
    pub fn answer(&self, answered: Answered) {
        self.0.lock().answered.push(answered);
    }

    /// An answer of `UNAVAILABLE`.
    pub fn refuse(&self) {
        self.0.lock().refused += 1;
    }

    /// No answer: whether the change was made is unknown.
    pub fn lose(&self) {
        self.0.lock().unanswered += 1;
    }

    /// How many answered changes the present disk holds.
    pub fn stored(&self) -> usize {
        self.0.lock().answered.len()
    }

    /// Continues with a database that holds nothing.
    pub fn begin_disk(&self) {
        let mut answers = self.0.lock();
        answers.earlier += std::mem::take(&mut answers.answered).len();
    }

    pub fn refused(&self) -> usize {
        self.0.lock().refused
    }

    /// Asserts that `database` holds every answered change, under the version that was answered, and that every user's
    /// versions follow one another.
    pub async fn check(&self, database: &TestDatabase, why: &str) {
        let answered = self.0.lock().answered.clone();
        let db = database.connect().await;
        let stored = rows(
            &db,
            "SELECT user_id, title, stamp FROM topaz_story UNION ALL SELECT user_id, name, stamp FROM topaz_tag",
        )
        .await;
        let mut stamps = HashMap::new();
        for (user, name, stamp) in stored {
            let twice = stamps.insert((user.clone(), name.clone()), stamp);
            assert_eq!(twice, None, "{why}: {name} of {user} is there twice");
        }
        let mut said = HashSet::new();
        for Answered {
            user,
            name,
            version,
        } in &answered
        {
            let stamp = stamps.get(&((*user).to_owned(), name.clone()));
            assert_eq!(
                stamp,
                Some(version),
                "{why}: {name} of {user} was answered with version {version} and is not stored as such; {self}"
            );
            assert!(
                said.insert((user, version)),
                "{why}: {version} of {user} was answered twice"
            );
        }
        let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (user, _, version) in rows(
            &db,
            "SELECT user_id, '' AS name, version FROM topaz_write ORDER BY user_id, version",
        )
        .await
        {
            versions.entry(user).or_default().push(version);
        }
        for (user, _, head) in rows(
            &db,
            "SELECT subject, '' AS name, library_version FROM topaz_user",
        )
        .await
        {
            let made = versions.remove(&user).unwrap_or_default();
            assert_eq!(
                made,
                (2..=head).collect::<Vec<_>>(),
                "{why}: the versions of {user}"
            );
        }
        db.close().await.unwrap();
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answers {
            answered,
            earlier,
            refused,
            unanswered,
        } = &*self.0.lock();
        let answered = earlier + answered.len();
        write!(
            f,
            "{answered} answered, {refused} refused, {unanswered} not answered"
        )
    }
}

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<(String, String, i64)> {
    let select = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(select).await.unwrap();
    let read = |row: &sea_orm::QueryResult| {
        let number = row.try_get_by_index::<i32>(2).map(i64::from);
        (
            row.try_get_by_index(0).unwrap(),
            row.try_get_by_index(1).unwrap(),
            number.or_else(|_| row.try_get_by_index(2)).unwrap(),
        )
    };
    rows.iter().map(read).collect()
}
