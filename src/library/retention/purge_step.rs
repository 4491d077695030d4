//! One step of a purge: deletes the oldest rows of a time span and raises their users' floors, in one transaction.

use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, Value,
};

use crate::{
    library::{
        database::transaction::{Purpose, Transaction},
        error::Error,
    },
    version::UserId,
};

/// Rows per step.
pub(super) const BATCH: u64 = 500;

/// A table whose rows expire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub table: &'static str,
    pub time: &'static str,
    /// Whether the rows are library history, limited by the user's floor.
    pub is_history: bool,
}

/// The time span of a purge, in milliseconds: from `from` on and before `before`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub from: i64,
    pub before: i64,
}

impl Span {
    pub fn values(self) -> Vec<Value> {
        vec![self.from.into(), self.before.into()]
    }
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    pub found: u64,
    /// Number of purged rows. Rows of users who are writing are skipped.
    pub purged: u64,
    /// The newest time of the found rows.
    pub newest: Option<i64>,
}

impl Step {
    /// Returns whether the span has no more rows.
    pub fn is_last(self) -> bool {
        self.found < BATCH
    }
}

/// Selects the oldest rows of a span ($1, $2), of one user ($3) or of all users.
pub(super) fn page(backend: DbBackend, rows: Rows, user: Option<&UserId>) -> String {
    let Rows { table, time, .. } = rows;
    let place = match backend {
        DbBackend::Sqlite => "rowid",
        _ => "ctid",
    };
    let history = if rows.is_history {
        ", user_id, stamp"
    } else {
        ""
    };
    let of_user = user.map_or("", |_| " AND user_id = $3");
    format!(
        "SELECT {place} AS place, {time} AS at{history} FROM {table} \
         WHERE {time} >= $1 AND {time} < $2{of_user} ORDER BY {time} LIMIT {BATCH}"
    )
}

/// Purges the oldest rows of a span, and raises their users' floors.
pub(super) async fn purge_step(
    db: DatabaseConnection,
    rows: Rows,
    span: Span,
    user: Option<UserId>,
) -> Result<Step, Error> {
    let backend = db.get_database_backend();
    let page = page(backend, rows, user.as_ref());
    let mut values = span.values();
    values.extend(user.map(|user| user.as_str().into()));
    let step = match backend {
        DbBackend::Sqlite => step_of_sqlite(&db, rows, &page, values).await,
        _ => step_of_postgres(&db, rows, &page, values).await,
    };
    Ok(step?)
}

/// Runs as one statement. Skips users who are writing; the next purge deletes their rows.
async fn step_of_postgres(
    db: &DatabaseConnection,
    Rows {
        table, is_history, ..
    }: Rows,
    page: &str,
    values: Vec<Value>,
) -> Result<Step, DbErr> {
    let delete = format!("DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT place FROM page))");
    let steps = if is_history {
        format!(
            "still AS (SELECT subject FROM topaz_user WHERE subject IN (SELECT user_id FROM page) \
               FOR UPDATE SKIP LOCKED), \
             raised AS (UPDATE topaz_user SET library_floor = greatest(library_floor, old.stamp) \
               FROM (SELECT user_id, max(stamp) AS stamp FROM page GROUP BY user_id) AS old \
               WHERE subject = old.user_id AND subject IN (SELECT subject FROM still)), \
             gone AS ({delete} AND user_id IN (SELECT subject FROM still) RETURNING 1)"
        )
    } else {
        format!("gone AS ({delete} RETURNING 1)")
    };
    let sql = format!(
        "WITH page AS MATERIALIZED ({page}), {steps} \
         SELECT count(*) AS found, max(at) AS newest, (SELECT count(*) FROM gone) AS purged FROM page"
    );
    let step = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let row = db.query_one_raw(step).await?;
    row.map_or(Ok(Step::default()), |row| step_of_row(&row))
}

/// Runs as one transaction. SQLite has no concurrent writers to skip.
async fn step_of_sqlite(
    db: &DatabaseConnection,
    Rows {
        table, is_history, ..
    }: Rows,
    page: &str,
    values: Vec<Value>,
) -> Result<Step, DbErr> {
    let statement =
        |sql: String| Statement::from_sql_and_values(DbBackend::Sqlite, sql, values.clone());
    let tx = Transaction::begin(db, Purpose::Write).await?;
    let count =
        format!("SELECT count(*) AS found, max(at) AS newest, count(*) AS purged FROM ({page})");
    let row = tx.query_one_raw(statement(count)).await?;
    let step = row.map_or(Ok(Step::default()), |row| step_of_row(&row))?;
    if is_history {
        let raise = format!(
            "UPDATE topaz_user SET library_floor = max(library_floor, old.stamp) \
             FROM (SELECT user_id, max(stamp) AS stamp FROM ({page}) GROUP BY user_id) AS old \
             WHERE subject = old.user_id"
        );
        tx.execute_raw(statement(raise)).await?;
    }
    let delete = format!("DELETE FROM {table} WHERE rowid IN (SELECT place FROM ({page}))");
    tx.execute_raw(statement(delete)).await?;
    tx.commit().await?;
    Ok(step)
}

fn step_of_row(row: &QueryResult) -> Result<Step, DbErr> {
    let [found, purged] = ["found", "purged"].map(|count| row.try_get::<i64>("", count));
    Ok(Step {
        found: found?.unsigned_abs(),
        purged: purged?.unsigned_abs(),
        newest: row.try_get("", "newest")?,
    })
}
