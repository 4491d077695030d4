//! SQL of endpoints and devices, for both databases.

use sea_orm::{ConnectionTrait as _, DbBackend, QueryResult, Statement, Value};

use crate::library::{
    database::{clock, dialect::greatest},
    error::Error,
    handle::Library,
};

impl Library {
    /// Runs one statement of endpoints or devices on the primary, within its time limit. See [`statement`] for the placeholders.
    pub(in crate::library) async fn run_statement(
        &self,
        template: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>, Error> {
        let run = statement(self.db.backend(), template, values);
        self.db.in_time(self.db.write.query_all_raw(run)).await
    }
}

/// Expands the placeholders of a statement:
///
/// | placeholder | stands for |
/// |---|---|
/// | `{now}` | the database's time in milliseconds |
/// | `{greatest}` | the function that returns the greatest of its arguments |
/// | `{interval}` | the minimum time between two messages of a row's pace, in milliseconds |
/// | `{skip_locked}` | the lock clause that skips rows which another node claims at this moment |
/// | `{list:$n}` | the texts of the JSON array in parameter `n` |
/// | `{head}` | the epoch and version of the row's user |
pub(in crate::library) fn statement(
    backend: DbBackend,
    template: &str,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let is_sqlite = backend == DbBackend::Sqlite;
    let skip_locked = if is_sqlite {
        ""
    } else {
        "FOR UPDATE SKIP LOCKED"
    };
    let mut sql = template
        .replace("{interval}", INTERVAL)
        .replace("{head}", HEAD)
        .replace("{now}", clock::sql(backend))
        .replace("{greatest}", greatest(backend))
        .replace("{skip_locked}", skip_locked);
    for parameter in 1..=4 {
        let list = if is_sqlite {
            format!("SELECT value FROM json_each(${parameter})")
        } else {
            format!("SELECT jsonb_array_elements_text(CAST(${parameter} AS jsonb))")
        };
        sql = sql.replace(&format!("{{list:${parameter}}}"), &list);
    }
    Statement::from_sql_and_values(backend, sql, values)
}

/// The names of [`Pace`](crate::library::Pace) with their intervals.
const INTERVAL: &str =
    "CASE e.pace WHEN 'every_change' THEN 0 WHEN 'hourly' THEN 3600000 ELSE 86400000 END";

const HEAD: &str =
    "(SELECT u.library_epoch, u.library_version FROM topaz_user u WHERE u.subject = e.user_id)";

/// Returns a list for a `{list:$n}`.
pub(in crate::library) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let texts: Vec<_> = texts.into_iter().collect();
    serde_json::json!(texts).to_string().into()
}

/// Returns a duration in milliseconds.
pub(in crate::library) fn millis(duration: std::time::Duration) -> Value {
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX / 4)
        .into()
}
