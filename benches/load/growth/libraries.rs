//! Fills a database with large libraries and many small ones, by SQL that both databases have in common.

use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection};
use uuid::Uuid;

use super::Growth;
use crate::mutations::Database;

/// A tag on all stories.
pub const ON_ALL: u128 = 0;
/// A tag on one story.
pub const ON_ONE: u128 = 1;
/// Tags on all stories, to be deleted.
pub const DELETED: [u128; 3] = [2, 3, 4];
/// Other tags of a large library. Each story has [`OTHERS_A_STORY`] of them.
const OTHERS: u128 = 200;
const OTHERS_A_STORY: u32 = 3;

/// Bits of an id after the number of its user. The highest of them tell the tables apart.
const BITS: u32 = 22;
const PROGRESS: u128 = 1 << 20;
const TAG: u128 = 1 << 21;

/// The id of the progress of the story `number`.
pub fn progress(user: usize, number: u128) -> Uuid {
    Uuid::from_u128(((user as u128) << BITS) + PROGRESS + number)
}

/// The id of a tag.
pub fn tag(user: usize, number: u128) -> Uuid {
    Uuid::from_u128(((user as u128) << BITS) + TAG + number)
}

/// The address of the story `number`.
pub fn url(user: usize, number: usize) -> String {
    format!("https://example.org/{user}/{number}")
}

/// Users `first` to `last`, each with as many stories.
struct Group {
    first: usize,
    last: usize,
    stories: usize,
}

pub async fn fill(url: &str, growth: &Growth) {
    let mut options = ConnectOptions::new(url);
    // Its settings hold for one connection.
    options.max_connections(1);
    let connection = sea_orm::Database::connect(options).await.unwrap();
    let prepare = match growth.database {
        // Neither triggers nor foreign keys are checked.
        Database::Postgres => {
            "SET session_replication_role = replica; SET synchronous_commit = off"
        }
        Database::Sqlite => "PRAGMA foreign_keys = off; PRAGMA synchronous = off",
    };
    run(&connection, prepare).await;
    let large = growth.stories.len();
    let mut groups: Vec<_> = (0..large)
        .map(|user| Group {
            first: user,
            last: user,
            stories: growth.stories[user],
        })
        .collect();
    groups.push(Group {
        first: large,
        last: large + growth.users - 1,
        stories: 1,
    });
    for group in groups {
        for sql in group.statements(growth.database) {
            run(&connection, &sql).await;
        }
    }
    if growth.database == Database::Postgres {
        run(&connection, "VACUUM ANALYZE").await;
    }
    connection.close().await.unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "a library of any size is made before the program runs"
)]
async fn run(connection: &DatabaseConnection, sql: &str) {
    let result = connection.execute_unprepared(sql).await;
    result.unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// SQL for the id with a number, of the user `u`.
fn id(kind: Database, number: &str) -> String {
    match kind {
        Database::Postgres => {
            format!("lpad(to_hex((u::bigint << {BITS}) + {number}), 32, '0')::uuid")
        }
        Database::Sqlite => format!("unhex(printf('%032x', (u << {BITS}) + {number}))"),
    }
}

impl Group {
    /// The statements that insert the users and their rows.
    fn statements(&self, kind: Database) -> Vec<String> {
        let Self {
            first,
            last,
            stories,
        } = self;
        let users = format!(
            "WITH RECURSIVE u(u) AS (SELECT {first} UNION ALL SELECT u + 1 FROM u WHERE u < {last})"
        );
        let each = format!(
            "{users}, n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {stories})"
        );
        let user_id = match kind {
            Database::Postgres => id(kind, "0"),
            Database::Sqlite => "'user-' || u".to_owned(),
        };
        // A prime, so that titles are in another order than stamps.
        let title = format!("substr('00000' || (n * 7919 % {stories}), -6, 6)");
        let title = match kind {
            Database::Postgres => format!("lpad((n * 7919 % {stories})::text, 6, '0')"),
            Database::Sqlite => title,
        };
        let (story, progress) = (id(kind, "n"), id(kind, &format!("{PROGRESS} + n")));
        let description = "'The description of a story that has about as many letters as the first sentence of one'";
        let mut statements = vec![
            format!(
                "{users} INSERT INTO topaz_user (id, subject, library_version) SELECT {user_id}, 'user-' || u, {stories} + 1 FROM u"
            ),
            format!(
                "{each} INSERT INTO topaz_story (user_id, id, stamp, created_stamp, title, author, url, source, status, description, is_nsfw, \
                   title_key, author_key, search_key, created_at, updated_at, chapter_count, word_count) \
                 SELECT 'user-' || u, {story}, n + 1, n + 1, 'Story ' || {title}, 'Author ' || n % 100, \
                   'https://example.org/' || u || '/' || n, 'Other', 'Ongoing', {description}, n % 9 = 0, \
                   'story ' || {title}, 'author ' || n % 100, 'story ' || {title} || '\n' || 'author ' || n % 100 || '\n' || {description}, \
                   n, n, n % 50, n FROM u, n"
            ),
            format!(
                "{each} INSERT INTO topaz_progress (user_id, id, stamp, created_stamp, story_id, status, rating, search_key, created_at, updated_at) \
                 SELECT 'user-' || u, {progress}, n + 1, n + 1, {story}, CASE n % 3 WHEN 0 THEN 'Reading' WHEN 1 THEN 'Completed' ELSE 'Paused' END, \
                   n % 51, '', n, n * 7919 % {stories} FROM u, n"
            ),
        ];
        statements.extend(self.tags(kind, &users, &each));
        statements
    }

    fn tags(&self, kind: Database, users: &str, each: &str) -> Vec<String> {
        let of = |number: &str| id(kind, &format!("{TAG} + {number}"));
        let mut links = vec![format!("{} FROM u, n", of(&ON_ALL.to_string()))];
        // A small library has one tag.
        let mut count = 1;
        if self.stories > 1 {
            let own = DELETED[DELETED.len() - 1] + 1;
            count = own + OTHERS;
            links.push(format!("{} FROM u, n WHERE n = 1", of(&ON_ONE.to_string())));
            links.extend(DELETED.map(|number| format!("{} FROM u, n", of(&number.to_string()))));
            links.extend((0..OTHERS_A_STORY).map(|k| {
                let other = format!("({own} + (n * 7 + {k} * 13) % {OTHERS})");
                format!("{} FROM u, n", of(&other))
            }));
        }
        let tags = format!(
            "{users}, t(t) AS (SELECT 0 UNION ALL SELECT t + 1 FROM t WHERE t + 1 < {count}) \
             INSERT INTO topaz_tag (user_id, id, stamp, created_stamp, name, name_key, created_at, updated_at) \
             SELECT 'user-' || u, {}, 1, 1, 'tag ' || t, 'tag ' || t, 0, 0 FROM u, t",
            of("t")
        );
        let link = |tag: String| {
            format!(
                "{each} INSERT INTO topaz_story_tag (user_id, story_id, tag_id) SELECT 'user-' || u, {}, {tag}",
                id(kind, "n")
            )
        };
        [tags]
            .into_iter()
            .chain(links.into_iter().map(link))
            .collect()
    }
}
