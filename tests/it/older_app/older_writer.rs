//! The older app while it runs: its statements, on its connections, which find its tables in `topaz_before`.

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::older_database::{ANN, BOB};
use crate::support::test_app::soon;

/// The older app, with the two connections that one request uses.
pub struct OlderWriter {
    url: String,
    /// One runs the transaction of a request, and the other increments the version meanwhile.
    connections: Option<(PgConnection, PgConnection)>,
    rng: fastrand::Rng,
}

impl OlderWriter {
    /// The older app on the database `url`.
    pub fn new(url: &str, seed: u64) -> Self {
        Self {
            url: with_search_path(url),
            connections: None,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Runs statements in one transaction.
    pub async fn execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let (first, _) = self.connected().await?;
        let sql = sqlx::AssertSqlSafe(format!("BEGIN; {sql}; COMMIT"));
        let done = soon(
            "statements of the older app",
            sqlx::raw_sql(sql).execute(first),
        )
        .await;
        if done.is_err() {
            self.connections = None;
        }
        done.map(|_| ())
    }

    async fn connected(&mut self) -> Result<(&mut PgConnection, &mut PgConnection), sqlx::Error> {
        if self.connections.is_none() {
            let first = PgConnection::connect(&self.url).await?;
            self.connections = Some((first, PgConnection::connect(&self.url).await?));
        }
        let (first, second) = self.connections.as_mut().unwrap();
        Ok((first, second))
    }

    /// Makes one random change like its pages and its API.
    pub async fn make_change(&mut self) -> Result<(), sqlx::Error> {
        soon("a change of the older app", self.change()).await
    }

    async fn change(&mut self) -> Result<(), sqlx::Error> {
        let user = if self.rng.bool() { ANN } else { BOB };
        let change = match self.rng.u8(0..12) {
            0..=2 => create_with_progress(&mut self.rng, user),
            3 | 4 => update_with_relations(&mut self.rng, user),
            5 | 6 => format!(
                "UPDATE topaz_progress SET current_chapter = {}, updated_at = now() WHERE id = {}",
                self.rng.u16(..),
                any_progress(user)
            ),
            7 => format!(
                "DELETE FROM topaz_progress WHERE id = {}",
                any_progress(user)
            ),
            8 => format!(
                "DELETE FROM topaz_story WHERE id = (SELECT story_id FROM topaz_progress WHERE id = {})",
                any_progress(user)
            ),
            9 => rename_label(&mut self.rng),
            10 => format!(
                "DELETE FROM {} WHERE id = (SELECT id FROM topaz_tag WHERE name LIKE 'live%' ORDER BY random() LIMIT 1)",
                "topaz_tag"
            ),
            // A user follows a story of another.
            _ => format!(
                "INSERT INTO topaz_progress (id, public_id, user_id, story_id) SELECT gen_random_uuid(), gen_random_uuid()::text, \
                 '{user}', id FROM topaz_story ORDER BY random() LIMIT 1 ON CONFLICT DO NOTHING"
            ),
        };
        let is_one_transaction = self.rng.bool();
        let bump = format!(
            "UPDATE topaz_user SET library_version = library_version + 1 WHERE id = '{user}'"
        );
        if is_one_transaction {
            return self.execute(&format!("{change}; {bump}")).await;
        }
        // As in its code: the version moves on another connection, before the transaction commits.
        let (first, second) = self.connected().await?;
        let done: Result<(), sqlx::Error> = async {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {change}")))
                .execute(&mut *first)
                .await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(bump))
                .execute(&mut *second)
                .await?;
            sqlx::raw_sql("COMMIT").execute(&mut *first).await?;
            Ok(())
        }
        .await;
        if done.is_err() {
            self.connections = None;
        }
        done
    }
}

/// The address with the search path of the older app.
pub fn with_search_path(url: &str) -> String {
    format!("{url}?options=-c%20search_path%3Dtopaz_before%2Cpublic")
}

fn any_progress(user: &str) -> String {
    format!("(SELECT id FROM topaz_progress WHERE user_id = '{user}' ORDER BY random() LIMIT 1)")
}

fn create_with_progress(rng: &mut fastrand::Rng, user: &str) -> String {
    let [story, progress, tag] = [(); 3].map(|()| Uuid::from_u128(rng.u128(..)));
    // Few addresses, so that two stories of a library share one.
    let address = rng.u8(0..40);
    let status = ["Reading", "Paused", "NotStarted"][rng.usize(0..3)];
    format!(
        "INSERT INTO topaz_story (id, public_id, title, url, author, chapter_count) VALUES ('{story}', '{story}', \
           'Live {address}', 'https://example.org/live/{address}', 'Ann', {address}); \
         INSERT INTO topaz_tag (id, public_id, name) VALUES ('{tag}', '{tag}', 'live {address}') \
           ON CONFLICT DO NOTHING; \
         INSERT INTO topaz_story_tag SELECT '{story}', id FROM topaz_tag ORDER BY random() LIMIT {}; \
         INSERT INTO topaz_story_fandom SELECT '{story}', id FROM topaz_fandom ORDER BY random() LIMIT 1; \
         INSERT INTO topaz_progress (id, public_id, user_id, story_id, reading_status, rating) VALUES ('{progress}', \
           '{progress}', '{user}', '{story}', '{status}', 3.5)",
        rng.u8(0..4),
    )
}

fn update_with_relations(rng: &mut fastrand::Rng, user: &str) -> String {
    let story = format!(
        "(SELECT story_id FROM topaz_progress WHERE user_id = '{user}' ORDER BY public_id OFFSET {} LIMIT 1)",
        rng.u8(0..20)
    );
    format!(
        "UPDATE topaz_story SET title = 'Changed {n}', word_count = {n}, url = 'https://example.org/live/{}', \
           updated_at = now() WHERE id = {story}; \
         UPDATE topaz_progress SET notes = 'note {n}', updated_at = now() WHERE story_id = {story} AND user_id = '{user}'; \
         DELETE FROM topaz_story_tag WHERE story_id = {story}; \
         INSERT INTO topaz_story_tag SELECT s.id, t.id FROM topaz_story s, (SELECT id FROM topaz_tag ORDER BY random() LIMIT 3) t \
           WHERE s.id = {story}",
        rng.u8(0..40),
        n = rng.u16(..),
    )
}

/// Renames a label, or swaps the names of two labels.
fn rename_label(rng: &mut fastrand::Rng) -> String {
    let (table, n) = (
        if rng.bool() {
            "topaz_tag"
        } else {
            "topaz_fandom"
        },
        rng.u16(..),
    );
    let any = format!(
        "(SELECT id FROM {table} ORDER BY public_id OFFSET {} LIMIT 1)",
        rng.u8(0..14)
    );
    format!("UPDATE {table} SET name = 'live renamed {n}' WHERE id = {any}")
}
