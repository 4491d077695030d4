//! Compares the tables of a database with those that this version needs, and recognises the tables of the older app.
//!
//! In the flow: every command calls [`Database::find_older_app`] when it opens a database, before it changes anything;
//! `/readyz` calls [`Database::missing_schema`], which matters for `--no-migrate`, and after `migrate down` or
//! `adopt --undo`.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use tokio::time::timeout;

use super::{pools::Database, write_probe::PROBE_PATIENCE};
use crate::library::error::{Error, Unanswered};

/// The schema into which `library-sync adopt` moves the tables of the older app.
pub const SET_ASIDE: &str = "topaz_before";

/// The tables of this version and their columns. A column that only the older app reads is not in it.
pub(in crate::library) const NEEDED: [(&str, &str); 20] = [
    (
        "topaz_user",
        "subject library_version library_epoch library_floor library_counted library_stories library_tags \
         library_fandoms library_bytes signed_out_at streams_ended_at library_erased",
    ),
    (
        "topaz_story",
        "user_id id stamp title author url url_typed source status description summary chapter_count word_count \
         is_nsfw title_key author_key search_key created_at updated_at created_stamp",
    ),
    (
        "topaz_progress",
        "user_id id stamp story_id status current_chapter rating notes search_key created_at updated_at created_stamp",
    ),
    (
        "topaz_tag",
        "user_id id stamp name name_key created_at updated_at created_stamp",
    ),
    (
        "topaz_fandom",
        "user_id id stamp name name_key created_at updated_at created_stamp",
    ),
    ("topaz_story_tag", "user_id story_id tag_id"),
    ("topaz_story_fandom", "user_id story_id fandom_id"),
    (
        "topaz_tombstone",
        "user_id kind id stamp removed_at held created_stamp",
    ),
    (
        "topaz_undone_removal",
        "user_id kind id stamp removed_at held created_stamp",
    ),
    (
        "topaz_receipt",
        "user_id idempotency_key fingerprint answer version epoch created_at total",
    ),
    (
        "topaz_write",
        "user_id epoch version kinds device_id device_name written_at total traceparent",
    ),
    (
        "topaz_field_change",
        "user_id kind id stamp field was changed_at other_stamp",
    ),
    (
        "topaz_label_removal",
        "user_id stamp kind id first_story last_story removed_at carriers",
    ),
    (
        "topaz_ticket",
        "digest user_id expires_at lapses_at issued_at",
    ),
    (
        "topaz_push_endpoint",
        "id user_id device_id digest address p256dh auth vendor pace created_at expires_at known_epoch known_version \
         reported_at live_until due_at claim claimed_until sent_at tested_at failures failing_since",
    ),
    (
        "topaz_device",
        "user_id device_id name given_name platform client created_at seen_at applied_epoch applied_version applied_at \
         pending pending_oldest_at pending_error pending_at pending_since clock_ahead refused_at issued_at \
         endpoint_gone_at streams_ended_at",
    ),
    ("topaz_node", "id name started_at live_until"),
    (
        "topaz_stream",
        "node_id number user_id device_id transport opened_at",
    ),
    ("topaz_usage", "user_id progress_id score used_at"),
    (
        "topaz_webhook",
        "user_id known_epoch known_version due_at claim claimed_until failures",
    ),
];

/// The columns of the tables named in $1, as the search path finds them.
const POSTGRES_COLUMNS: &str = "
SELECT asked.name AS in_table, a.attname::text AS name
FROM unnest(string_to_array($1, ' ')) AS asked (name)
JOIN pg_attribute a ON a.attrelid = to_regclass(asked.name) AND a.attnum > 0 AND NOT a.attisdropped";

const SQLITE_COLUMNS: &str = "
SELECT m.name AS in_table, c.name AS name FROM sqlite_master m, pragma_table_info(m.name) c
WHERE m.type = 'table' AND instr(' ' || $1 || ' ', ' ' || m.name || ' ') > 0";

/// The tables of the older app among those that the search path finds, and the schema of its stories.
const OLDER_APP: &str = "
SELECT
  (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass('topaz_story') AND NOT EXISTS (
      SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
    )) AS stories_in,
  to_regclass('topaz_work') IS NOT NULL AND to_regclass('topaz_library_entry') IS NOT NULL
    AND to_regclass('topaz_story') IS NULL AS has_works";

/// Tables of the older app under names that this version uses or replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OlderApp {
    /// `topaz_story` is shared by all users: `library-sync adopt` takes the database over.
    Stories,
    /// The search path leads to the tables that `library-sync adopt` has set aside.
    SetAside,
    /// Its later schema, with `topaz_work` instead of stories, which cannot be adopted.
    Works,
}

impl Database {
    /// Returns the tables or the column that this version needs and the database lacks, for a health check. `None` if it
    /// lacks none.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn missing_schema(&self) -> Result<Option<String>, Error> {
        match timeout(PROBE_PATIENCE, self.compare_schema()).await {
            Ok(compared) => compared.map_err(Error::from),
            Err(_) => Err(Error::unavailable(Unanswered(PROBE_PATIENCE))),
        }
    }

    async fn compare_schema(&self) -> Result<Option<String>, DbErr> {
        let backend = self.probe.get_database_backend();
        let sql = match backend {
            DbBackend::Postgres => POSTGRES_COLUMNS,
            _ => SQLITE_COLUMNS,
        };
        let names = NEEDED.map(|(table, _)| table).join(" ");
        let select = Statement::from_sql_and_values(backend, sql, [names.into()]);
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in self.probe.query_all_raw(select).await? {
            let columns = found.entry(row.try_get("", "in_table")?).or_default();
            columns.insert(row.try_get("", "name")?);
        }
        Ok(NEEDED
            .into_iter()
            .find_map(|(table, columns)| missing_in(table, columns, &found)))
    }

    /// Returns which tables of the older app the database holds under names that this version needs.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_older_app(&self) -> Result<Option<OlderApp>, DbErr> {
        let backend = self.write.get_database_backend();
        if backend != DbBackend::Postgres {
            return Ok(None);
        }
        let select = Statement::from_string(backend, OLDER_APP);
        let Some(row) = self.write.query_one_raw(select).await? else {
            return Ok(None);
        };
        let stories_in: Option<String> = row.try_get("", "stories_in")?;
        Ok(match stories_in.as_deref() {
            Some(SET_ASIDE) => Some(OlderApp::SetAside),
            Some(_) => Some(OlderApp::Stories),
            None if row.try_get("", "has_works")? => Some(OlderApp::Works),
            None => None,
        })
    }
}

/// Returns what a table lacks: itself, or its first missing column.
fn missing_in(
    table: &str,
    columns: &str,
    found: &BTreeMap<String, BTreeSet<String>>,
) -> Option<String> {
    let Some(found) = found.get(table) else {
        return Some(format!("table {table}"));
    };
    let missing = columns
        .split_whitespace()
        .find(|column| !found.contains(*column))?;
    Some(format!("column {table}.{missing}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_or_column_is_named() {
        let columns = |names: &str| names.split(' ').map(str::to_owned).collect();
        let found = BTreeMap::from([("a".to_owned(), columns("id name"))]);
        assert_eq!(missing_in("a", "id name", &found), None);
        assert_eq!(
            missing_in("a", "id stamp", &found).as_deref(),
            Some("column a.stamp")
        );
        assert_eq!(missing_in("b", "id", &found).as_deref(), Some("table b"));
    }
}
