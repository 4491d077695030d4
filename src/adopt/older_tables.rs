//! The tables of the older app: which there are, where, and how labels are read from them.
//!
//! Three versions of its schema are known. They differ in the tables of labels; see [`Labels`].

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::error::Error;
use crate::library::{LabelKind, OlderApp, SET_ASIDE};

/// The tables of a library, which have the same names in the older app and here, in an order in which they can be locked.
/// The older app's tables of users, accounts and sessions stay where they are.
pub(super) const LIBRARY_TABLES: [&str; 6] = [
    "topaz_story",
    "topaz_progress",
    "topaz_tag",
    "topaz_fandom",
    "topaz_story_tag",
    "topaz_story_fandom",
];

/// The tables of labels in later versions of the older app, which are locked after [`LIBRARY_TABLES`].
const TERM_TABLES: [&str; 3] = [
    "topaz_taxonomy_term",
    "topaz_taxonomy_alias",
    "topaz_story_taxonomy_term",
];

/// Materialized views on them.
const VIEWS: [&str; 2] = ["library_mv", "library_stats_mv"];

/// The columns that the copy reads.
const READ: [(&str, &str); 8] = [
    (
        "topaz_story",
        "id public_id author chapter_count description is_nsfw word_count source status summary title url created_at \
         updated_at",
    ),
    (
        "topaz_progress",
        "id user_id story_id reading_status current_chapter rating notes created_at updated_at",
    ),
    ("topaz_tag", "id name created_at updated_at"),
    ("topaz_fandom", "id name created_at updated_at"),
    ("topaz_story_tag", "story_id tag_id"),
    ("topaz_story_fandom", "story_id fandom_id"),
    ("topaz_taxonomy_term", "id kind name created_at updated_at"),
    ("topaz_story_taxonomy_term", "story_id term_id"),
];

/// Where a version of the older app keeps labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
pub(super) enum Labels {
    /// In a table of tags and a table of fandoms.
    TagsAndFandoms,
    /// In a table of terms of several kinds. A term of kind `Fandom` is a fandom, any other a tag.
    Terms,
}

/// The tables of the older app in a database.
#[derive(Debug, Clone)]
pub(super) struct OlderTables {
    /// The schema that they are in.
    pub schema: String,
    pub tables: Vec<String>,
    pub views: Vec<String>,
    pub labels: Labels,
}

impl OlderTables {
    /// Finds the tables, in the schema in which library-sync creates its own.
    pub(super) async fn find(db: &impl ConnectionTrait, older: OlderApp) -> Result<Self, Error> {
        match older {
            OlderApp::Works => return Err(Error::Works),
            OlderApp::SetAside => return Err(Error::AlreadyAdopted),
            OlderApp::Stories => {}
        }
        let sql = "SELECT current_schema()::text AS schema";
        let row = db
            .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await?;
        let schema: String = row.map_or(Ok(String::new()), |row| row.try_get("", "schema"))?;
        let found = Self::in_schema(db, schema).await?;
        found.check_columns(db).await?;
        Ok(found)
    }

    /// Finds the tables that were set aside.
    pub(super) async fn set_aside(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        Self::in_schema(db, SET_ASIDE.to_owned()).await
    }

    async fn in_schema(db: &impl ConnectionTrait, schema: String) -> Result<Self, DbErr> {
        let sql = "SELECT c.relname::text AS name, c.relkind::text AS kind FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'm')";
        let select =
            Statement::from_sql_and_values(DbBackend::Postgres, sql, [schema.as_str().into()]);
        let mut names = Vec::new();
        for row in db.query_all_raw(select).await? {
            let (name, kind): (String, String) =
                (row.try_get("", "name")?, row.try_get("", "kind")?);
            names.push((name, kind == "m"));
        }
        let present = |known: &[&str], is_view: bool| {
            let there = |name: &&&str| names.contains(&((**name).to_owned(), is_view));
            known
                .iter()
                .filter(there)
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let tables = present(&[&LIBRARY_TABLES[..], &TERM_TABLES].concat(), false);
        let has = |name: &str| tables.iter().any(|table| table == name);
        let labels = if has("topaz_taxonomy_term") {
            Labels::Terms
        } else {
            Labels::TagsAndFandoms
        };
        Ok(Self {
            schema,
            views: present(&VIEWS, true),
            labels,
            tables,
        })
    }

    /// Checks that the tables have the columns that the copy reads.
    async fn check_columns(&self, db: &impl ConnectionTrait) -> Result<(), Error> {
        let sql = "SELECT c.relname || '.' || a.attname AS name FROM pg_attribute a \
             JOIN pg_class c ON c.oid = a.attrelid \
             WHERE c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped";
        let rows = db
            .query_all_raw(Statement::from_string(DbBackend::Postgres, sql))
            .await?;
        let columns: Result<Vec<String>, _> =
            rows.iter().map(|row| row.try_get("", "name")).collect();
        let columns = columns?;
        let is_read = |table: &str| match self.labels {
            Labels::TagsAndFandoms => !table.contains("taxonomy"),
            Labels::Terms => !table.ends_with("tag") && !table.ends_with("fandom"),
        };
        for (table, names) in READ.into_iter().filter(|(table, _)| is_read(table)) {
            for column in names.split(' ').filter(|name| !name.is_empty()) {
                if !columns.contains(&format!("{table}.{column}")) {
                    return Err(Error::UnknownTables { table, column });
                }
            }
        }
        Ok(())
    }
}

impl Labels {
    /// SQL that selects the columns `story_id` and `label_id` of the links of a kind, from the set-aside tables.
    pub(super) fn links(self, kind: LabelKind) -> String {
        match (self, kind) {
            (Self::TagsAndFandoms, LabelKind::Tag) => {
                format!("SELECT story_id, tag_id AS label_id FROM {SET_ASIDE}.topaz_story_tag")
            }
            (Self::TagsAndFandoms, LabelKind::Fandom) => {
                format!(
                    "SELECT story_id, fandom_id AS label_id FROM {SET_ASIDE}.topaz_story_fandom"
                )
            }
            (Self::Terms, kind) => format!(
                "SELECT l.story_id, l.term_id AS label_id FROM {SET_ASIDE}.topaz_story_taxonomy_term l \
                 JOIN {SET_ASIDE}.topaz_taxonomy_term t ON t.id = l.term_id WHERE {}",
                is_kind(kind)
            ),
        }
    }

    /// SQL that selects the columns `id`, `name`, `created_at` and `updated_at` of the labels of a kind, from the
    /// set-aside tables.
    pub(super) fn names(self, kind: LabelKind) -> String {
        let (table, condition) = match (self, kind) {
            (Self::TagsAndFandoms, LabelKind::Tag) => ("topaz_tag", "true"),
            (Self::TagsAndFandoms, LabelKind::Fandom) => ("topaz_fandom", "true"),
            (Self::Terms, kind) => ("topaz_taxonomy_term", is_kind(kind)),
        };
        format!(
            "SELECT t.id, t.name::text AS name, t.created_at, t.updated_at FROM {SET_ASIDE}.{table} t WHERE {condition}"
        )
    }
}

/// The name of a kind in the report, and in the names of tables.
pub(super) fn name_of(kind: LabelKind) -> &'static str {
    match kind {
        LabelKind::Tag => "tag",
        LabelKind::Fandom => "fandom",
    }
}

fn is_kind(kind: LabelKind) -> &'static str {
    match kind {
        LabelKind::Fandom => "t.kind::text = 'Fandom'",
        LabelKind::Tag => "t.kind::text <> 'Fandom'",
    }
}

/// Stands for infinity, and for years that RFC 3339 cannot write.
pub(super) const NO_TIME: i64 = i64::MAX;

/// SQL for a time of the older app in milliseconds since the Unix epoch, or [`NO_TIME`].
pub(super) fn millis(column: &str) -> String {
    format!(
        "CASE WHEN {column} BETWEEN '0001-01-02' AND '9999-12-30' THEN floor(extract(epoch FROM {column}) * 1000)::bigint \
         WHEN {column} IS NOT NULL THEN {NO_TIME} END"
    )
}
