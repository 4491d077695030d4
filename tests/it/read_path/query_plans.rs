//! PostgreSQL's plans for a large library among a million users, on a connection warmed by small libraries.
//!
//! PostgreSQL plans a prepared statement five times and may then cache a generic plan. The cost of an operation
//! on the large library must not depend on that, so each is measured on a fresh connection too, by
//! `pg_stat_statements`: the blocks that its statements touched, and their execution time.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::{Value, json};

use crate::{
    support::servers::Server,
    support::test_app::{TestApp, TestDatabase, TestUser},
};

/// The stories of the large library.
const STORIES: u32 = 20_000;

/// The number of users with a small library: one row of each kind.
const SMALL_LIBRARIES: u32 = 100_000;

/// The id of a tag on all stories of each library.
const ON_ALL: &str = "00000000-0000-0000-0000-0000000000a1";

/// The blocks and execution time of the statements of an operation.
#[derive(Debug, Clone, Copy)]
struct Cost {
    blocks: i64,
    /// Blocks of temporary files, of sorts that do not fit into memory.
    temporary: i64,
    time: Duration,
}

impl Cost {
    /// Whether the statements touched at most the expected blocks, and took about as long as a plan for the large library
    /// takes. A plan for another user takes at least a hundred times as long.
    fn is_within(self, most_blocks: i64, alone: Self) -> bool {
        self.blocks <= most_blocks
            && self.temporary == 0
            && self.time <= 10 * alone.time + Duration::from_millis(300)
    }
}

/// An operation with the variables for the large library. Those for a small one are equal unless
/// they refer to its rows.
struct Operation {
    name: &'static str,
    query: &'static str,
    large: Value,
    small: fn(u32) -> Value,
    /// The most blocks.
    most: i64,
}

const PAGE: &str = "query ($after: String, $orderBy: ProgressOrder, $filter: ProgressFilter) { progresses(first: 20, after: $after, orderBy: $orderBy, filter: $filter) { pageInfo { endCursor } edges { node { id story { title tags { name } } } } } }";
const COUNT: &str = "query ($filter: ProgressFilter) { progresses(first: 20, filter: $filter) { totalCount edges { node { id } } } }";
const LABELS: &str = "{ tags { id storyCount } fandoms { id storyCount } }";
const STATS: &str = "{ library { stats { storyCount tagCount } } }";
const IMPORT: &str =
    "mutation ($input: ImportLibraryInput!) { importLibrary(input: $input) { duplicateCount } }";
const CHANGES: &str = "query ($after: String) { libraryChanges(since: 0, first: 1000, after: $after) { hasMore endCursor changes { __typename ... on Story { id tags { name } fandoms { name } } ... on Progress { id story { title } } } } }";

fn operations() -> Vec<Operation> {
    let order = |field: &str| json!({"orderBy": {"field": field, "direction": "DESC"}});
    let page = |name, large: Value| Operation {
        name,
        query: PAGE,
        large,
        small: |_| Value::Null,
        most: 1_500,
    };
    let other = |name, query, large: Value| Operation {
        name,
        query,
        large,
        small: |_| Value::Null,
        // A count of all rows reads each story, its progress and its ten labels at most once, by index.
        most: 20 * i64::from(STORIES),
    };
    let again = |url: fn(u32, usize) -> String, n| {
        let entry = |line| json!({"title": "t", "url": url(n, line)});
        json!({"input": {"entries": (0..1_000).map(entry).collect::<Vec<_>>()}})
    };
    let large = again(
        |_, line| format!("https://example.org/large/{}", line + 5_001),
        0,
    );
    let tagged = |order: Value| {
        let mut variables = json!({"filter": {"tags": {"all": [ON_ALL]}}});
        variables["orderBy"] = order;
        variables
    };
    let title = json!({"field": "TITLE", "direction": "ASC"});
    vec![
        // The stories of the tag are counted up to 2,000, so that the order of the list is walked.
        Operation {
            most: 4_000,
            ..page("tag on all stories", tagged(Value::Null))
        },
        Operation {
            most: 4_000,
            ..page("tag on all stories, by title", tagged(title))
        },
        page("list", json!({})),
        page("list by update", order("UPDATED_AT")),
        page("list by title", order("TITLE")),
        other("search", COUNT, json!({"filter": {"search": "nowhere"}})),
        other("labels", LABELS, json!({})),
        other("stats", STATS, json!({})),
        Operation {
            name: "import again",
            query: IMPORT,
            large,
            small: |n| {
                let entry = json!({"title": "t", "url": format!("https://example.org/small/{n}")});
                json!({"input": {"entries": vec![entry; 1_000]}})
            },
            // Two index lookups for each.
            most: 15_000,
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_library_costs_no_more_on_a_connection_warmed_by_small_ones() {
    let postgres = Server::postgres_with(&[
        "shared_preload_libraries=pg_stat_statements",
        "fsync=off",
        "full_page_writes=off",
        "autovacuum=off",
        "wal_level=minimal",
        "max_wal_senders=0",
    ])
    .await;
    let database = TestDatabase::at(postgres.url());
    let one = ["--database-connections", "1"];
    let warmed = TestApp::start_on(database.shared(), &one).await;
    let stats = database.connect().await;
    fill(&stats).await;
    let operations = operations();
    for n in 1..=8 {
        let small = warmed.user(&format!("small-{n}"));
        for operation in &operations {
            let variables = match (operation.small)(n) {
                Value::Null => operation.large.clone(),
                own => own,
            };
            let page = small.ask(operation.query, variables).await;
            if operation.query == PAGE {
                small.ask(PAGE, next(&operation.large, &page)).await;
            }
        }
        let page = small.ask(CHANGES, json!({})).await;
        let after = page["libraryChanges"]["endCursor"].clone();
        small.ask(CHANGES, json!({"after": after})).await;
    }

    let fresh = TestApp::start_on(database.shared(), &one).await;
    let (warmed, fresh) = (warmed.user("large"), fresh.user("large"));
    let mut too_high = Vec::new();
    for operation in &operations {
        let Operation {
            name,
            query,
            large,
            most,
            ..
        } = operation;
        // The fresh connection first, so that it reads from disk and the other from memory.
        let (alone, page) = cost(&stats, &fresh, query, large).await;
        let (cost_of, _) = cost(&stats, &warmed, query, large).await;
        if !cost_of.is_within(*most, alone) {
            too_high.push(format!("{name}: {cost_of:?}, alone {alone:?}"));
        }
        if *query == PAGE {
            let edges = page["progresses"]["edges"].as_array().unwrap();
            assert_eq!(edges.len(), 20, "{name}");
            let (deeper, _) = cost(&stats, &warmed, query, &next(large, &page)).await;
            if !deeper.is_within(*most, alone) {
                too_high.push(format!(
                    "{name}, next page: {deeper:?}, first page {alone:?}"
                ));
            }
        }
    }
    assert!(too_high.is_empty(), "{too_high:#?}");
    walk(&stats, &warmed, &fresh).await;
    stats.close().await.unwrap();
}

/// Reads ten pages of changes, enough for PostgreSQL to choose a generic plan.
async fn walk(stats: &DatabaseConnection, warmed: &TestUser<'_>, fresh: &TestUser<'_>) {
    let (first, _) = cost(stats, fresh, CHANGES, &json!({})).await;
    let mut after = Value::Null;
    for number in 1..=10 {
        let (page, response) = cost(stats, warmed, CHANGES, &json!({"after": after})).await;
        assert!(
            page.is_within(40_000, first),
            "page {number}: {page:?}, the first alone {first:?}"
        );
        let delta = &response["libraryChanges"];
        assert!(delta["hasMore"] == true && delta["changes"].as_array().unwrap().len() == 1_000);
        after = delta["endCursor"].clone();
    }
}

/// The variables of the page after `page`.
fn next(variables: &Value, page: &Value) -> Value {
    let mut variables = variables.clone();
    variables["after"] = page["progresses"]["pageInfo"]["endCursor"].clone();
    variables
}

/// The cost of an operation of `user`, and its result.
async fn cost(
    stats: &DatabaseConnection,
    user: &TestUser<'_>,
    query: &str,
    variables: &Value,
) -> (Cost, Value) {
    let select = |sql: &str| Statement::from_string(stats.get_database_backend(), sql);
    stats
        .query_one_raw(select("SELECT pg_stat_statements_reset()"))
        .await
        .unwrap();
    let response = user.ask(query, variables.clone()).await;
    let sum =
        "SELECT sum(shared_blks_hit + shared_blks_read)::bigint, sum(total_exec_time)::float8,
          sum(temp_blks_read + temp_blks_written)::bigint
        FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    let row = stats.query_one_raw(select(sum)).await.unwrap().unwrap();
    let millis: f64 = row.try_get_by_index(1).unwrap();
    let cost = Cost {
        blocks: row.try_get_by_index(0).unwrap(),
        temporary: row.try_get_by_index(2).unwrap(),
        time: Duration::from_secs_f64(millis / 1_000.0),
    };
    (cost, response)
}

/// A million users, most with nothing, and one with a large library: one tag and five of a thousand on each story.
async fn fill(connection: &DatabaseConnection) {
    let labels = |table: &str, links: &str, column: &str| {
        format!(
            "INSERT INTO {table} (user_id, id, stamp, name, name_key, created_at, updated_at)
               SELECT user_id, id, stamp, 'n', 'n', 0, 0 FROM topaz_story WHERE user_id <> 'large';
             INSERT INTO {table} (user_id, id, stamp, name, name_key, created_at, updated_at)
               SELECT 'large', md5('label ' || n)::uuid, 2, 'label ' || n, 'label ' || n, 0, 0 FROM generate_series(0, 999) n;
             INSERT INTO {links} (user_id, story_id, {column})
               SELECT user_id, id, id FROM topaz_story WHERE user_id <> 'large';
             INSERT INTO {links} (user_id, story_id, {column})
               SELECT user_id, id, md5('label ' || (stamp * 7 + k * 13) % 1000)::uuid
               FROM topaz_story, generate_series(1, 5) k WHERE user_id = 'large';"
        )
    };
    let story = |user: &str, url: &str, count: u32| {
        format!(
            "INSERT INTO topaz_story (user_id, id, stamp, title, author, url, source, status, is_nsfw, title_key, author_key, search_key, created_at, updated_at)
             SELECT {user}, md5({user} || n)::uuid, n + 1, 'title', 'author', 'https://example.org/{url}/' || n, 'Other', 'Ongoing', false, 'title ' || n, 'author', 'title', n, n
             FROM generate_series(1, {count}) n;"
        )
    };
    let statements = [
        "CREATE EXTENSION pg_stat_statements; SET synchronous_commit = off;
         SET session_replication_role = replica;" // neither triggers nor foreign keys are checked
            .to_owned(),
        format!(
            "INSERT INTO topaz_user (id, subject) SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'small-' || n FROM generate_series(1, 1000000) n;
             INSERT INTO topaz_user (id, subject, library_version) VALUES (gen_random_uuid(), 'large', {STORIES} + 1);"
        ),
        story("'small-' || n", "small", SMALL_LIBRARIES),
        story("'large'", "large", STORIES),
        "INSERT INTO topaz_progress (user_id, id, stamp, story_id, status, search_key, created_at, updated_at)
         SELECT user_id, id, stamp, id, 'Reading', '', created_at, updated_at FROM topaz_story".to_owned(),
        labels("topaz_tag", "topaz_story_tag", "tag_id"),
        format!(
            "INSERT INTO topaz_tag (user_id, id, stamp, name, name_key, created_at, updated_at)
               SELECT DISTINCT user_id, '{ON_ALL}'::uuid, 1, 'all', 'all', 0, 0 FROM topaz_story;
             INSERT INTO topaz_story_tag (user_id, story_id, tag_id) SELECT user_id, id, '{ON_ALL}' FROM topaz_story;"
        ),
        labels("topaz_fandom", "topaz_story_fandom", "fandom_id"),
        "VACUUM ANALYZE".to_owned(),
    ];
    for sql in statements {
        connection.execute_unprepared(&sql).await.unwrap();
    }
}
