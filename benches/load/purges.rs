//! Purges of a backlog of expired history on PostgreSQL, while an old transaction keeps it from freeing deleted rows.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use crate::{Args, http::per_second, node::Node, support::servers::Server};

/// Parts of the backlog whose rates are printed.
const PARTS: usize = 10;

/// Rows of one user.
const ROWS_A_USER: usize = 10;

/// The most time that one part may take.
const DEADLINE: Duration = Duration::from_mins(10);

pub async fn measure(args: &Args, rows: usize) {
    println!("| program | rows purged | rows/s |");
    println!("|---|---|---|");
    for (number, program) in args.programs() {
        let postgres = Server::postgres_with(&["max_wal_size=8GB"]).await;
        // Creates the tables.
        drop(Node::start(program, &postgres.url(), 1).await);
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        fill(&mut connection, rows).await;
        let mut old = PgConnection::connect(&postgres.url()).await.unwrap();
        run(
            &mut old,
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM topaz_ticket",
        )
        .await;
        let purging = ["--purge-every", "100ms"];
        let node = Node::start_with(program, &postgres.url(), 1, &purging).await;
        let mut before = 0;
        // The last part is a backlog of its own, which other purges delete.
        for part in 1..=PARTS + 1 {
            if part > PARTS {
                add(&mut connection, rows, (rows + 1, rows + rows / PARTS)).await;
            }
            let began = Instant::now();
            let until = part * rows / PARTS;
            let reached = until_purged(&node, until);
            let reached = tokio::time::timeout(DEADLINE, reached).await;
            let purged =
                reached.unwrap_or_else(|_| panic!("{until} rows: not within {DEADLINE:?}"));
            let rate = per_second(purged - before, began.elapsed());
            println!("| {number} | {purged} | {rate:.0} |");
            before = purged;
        }
    }
}

/// Waits until so many rows are purged. Returns their number.
async fn until_purged(node: &Node, rows: usize) -> usize {
    loop {
        let count = node.counter("library_sync_history_rows_purged_total{reason=\"age\"}");
        let count = usize::try_from(count.await).unwrap();
        if count >= rows {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Gives users tombstones that have expired.
async fn fill(connection: &mut PgConnection, rows: usize) {
    // Neither triggers nor foreign keys are checked.
    run(
        connection,
        "SET session_replication_role = replica; SET synchronous_commit = off",
    )
    .await;
    let users = format!(
        "INSERT INTO topaz_user (id, subject, library_version) \
         SELECT gen_random_uuid(), 'user-' || n, 1000 FROM generate_series(0, {}) AS n",
        rows / ROWS_A_USER
    );
    run(connection, &users).await;
    add(connection, rows, (1, rows)).await;
    // Ages count up to the newest time in the database.
    let now = "INSERT INTO topaz_write (user_id, epoch, version, kinds, written_at) \
               VALUES ('user-0', 1, 1000, '', (extract(epoch FROM now()) * 1000)::bigint)";
    run(connection, now).await;
    run(connection, "VACUUM ANALYZE").await;
}

/// Adds the tombstones `first` to `last`, one a minute from 1970 on, of all users of a backlog of `rows` in turn.
async fn add(connection: &mut PgConnection, rows: usize, (first, last): (usize, usize)) {
    let sql = format!(
        "INSERT INTO topaz_tombstone (user_id, kind, id, stamp, removed_at) \
         SELECT 'user-' || n % {users}, 'Tag', gen_random_uuid(), 1 + n / {users}, n * 60000::bigint \
         FROM generate_series({first}, {last}) AS n",
        users = rows.div_ceil(ROWS_A_USER)
    );
    run(connection, &sql).await;
}

async fn run(connection: &mut PgConnection, sql: &str) {
    let result = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(connection)
        .await;
    result.unwrap_or_else(|error| panic!("{error}: {sql}"));
}
