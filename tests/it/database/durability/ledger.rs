//! The acknowledged changes, to be compared with what is stored.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use parking_lot::Mutex;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

use crate::support::test_app::TestDatabase;

/// An acknowledged change.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub user: &'static str,
    /// The row that it created.
    pub name: String,
    pub version: i64,
}

/// The responses so far.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Responses>);

#[derive(Debug, Default)]
struct Responses {
    /// Those on the current disk.
    acknowledged: Vec<Acknowledged>,
    /// The number of those on earlier disks.
    earlier: usize,
    refused: usize,
    without_response: usize,
}

impl Ledger {
    pub fn acknowledge(&self, acknowledged: Acknowledged) {
        self.0.lock().acknowledged.push(acknowledged);
    }

    /// Counts a response with `UNAVAILABLE`.
    pub fn refuse(&self) {
        self.0.lock().refused += 1;
    }

    /// Counts a request without a response. Whether the change was made is unknown.
    pub fn miss_response(&self) {
        self.0.lock().without_response += 1;
    }

    /// The number of acknowledged changes on the current disk.
    pub fn stored(&self) -> usize {
        self.0.lock().acknowledged.len()
    }

    /// Continues with an empty database.
    pub fn begin_disk(&self) {
        let mut responses = self.0.lock();
        responses.earlier += std::mem::take(&mut responses.acknowledged).len();
    }

    pub fn refused(&self) -> usize {
        self.0.lock().refused
    }

    /// Asserts that `database` holds every acknowledged change, under the version that was acknowledged, and that every user's
    /// versions are consecutive.
    pub async fn check(&self, database: &TestDatabase, why: &str) {
        let acknowledged = self.0.lock().acknowledged.clone();
        let db = database.connect().await;
        let stored = rows(
            &db,
            "SELECT user_id, title, stamp FROM topaz_story UNION ALL SELECT user_id, name, stamp FROM topaz_tag",
        )
        .await;
        let mut stamps = HashMap::new();
        for (user, name, stamp) in stored {
            let twice = stamps.insert((user.clone(), name.clone()), stamp);
            assert_eq!(twice, None, "{why}: {name} of {user} is stored twice");
        }
        let mut versions_seen = HashSet::new();
        for Acknowledged {
            user,
            name,
            version,
        } in &acknowledged
        {
            let stamp = stamps.get(&((*user).to_owned(), name.clone()));
            assert_eq!(
                stamp,
                Some(version),
                "{why}: {name} of {user} was acknowledged with version {version} but is not stored with it; {self}"
            );
            assert!(
                versions_seen.insert((user, version)),
                "{why}: {version} of {user} was acknowledged twice"
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
        let Responses {
            acknowledged,
            earlier,
            refused,
            without_response,
        } = &*self.0.lock();
        let acknowledged = earlier + acknowledged.len();
        write!(
            f,
            "{acknowledged} acknowledged, {refused} refused, {without_response} without a response"
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
