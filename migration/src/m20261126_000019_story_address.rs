//! `topaz_story.url` in normal form, for comparison, and `url_typed` as the user typed it.
//!
//! Before, the address was stored as typed, so a library could hold one story twice under two spellings. If two stories
//! of one user have the same normal form, both are kept. The story that already has the normal form, or else the first
//! by id, gets it. The other keeps its spelling until it is edited. Versions do not change, because clients see the
//! same story.
//!
//! This is the rule at the time of this migration. `library::model::story_url` has the current one.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, QueryResult, Statement, Value, prelude::Uuid},
};
use url::Url;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Number of rows in one SELECT.
const BATCH: usize = 1_000;

/// Maximum length of a normal form, in bytes, for the index.
const LONGEST: usize = 2_048;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(manager, "ALTER TABLE topaz_story ADD COLUMN url_typed text").await?;
        let db = manager.get_connection();
        let mut after = (String::new(), Uuid::nil());
        loop {
            let rows = page(db, &after).await?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = key_of(last)?;
            for row in &rows {
                normalise(db, row).await?;
            }
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "
UPDATE topaz_story SET url = url_typed WHERE url_typed IS NOT NULL;
ALTER TABLE topaz_story DROP COLUMN url_typed;
";
        super::run(manager, sql).await
    }
}

async fn page(
    db: &impl ConnectionTrait,
    after: &(String, Uuid),
) -> Result<Vec<QueryResult>, DbErr> {
    let sql = format!(
        "SELECT user_id, id, url FROM topaz_story WHERE (user_id, id) > ($1, $2) ORDER BY user_id, id LIMIT {BATCH}"
    );
    let (user, id) = after.clone();
    run(db, &sql, [user.into(), id.into()]).await
}

async fn normalise(db: &impl ConnectionTrait, row: &QueryResult) -> Result<(), DbErr> {
    let typed: String = row.try_get("", "url")?;
    let Some(form) = form(&typed).filter(|form| *form != typed && form.len() <= LONGEST) else {
        return Ok(());
    };
    let (user, id) = key_of(row)?;
    let taken = "SELECT 1 AS taken FROM topaz_story WHERE user_id = $1 AND url = $2";
    if !run(db, taken, [user.clone().into(), form.clone().into()])
        .await?
        .is_empty()
    {
        return Ok(());
    }
    let set = "UPDATE topaz_story SET url = $3, url_typed = $4 WHERE user_id = $1 AND id = $2";
    let values: [Value; 4] = [user.into(), id.into(), form.into(), typed.into()];
    let set = Statement::from_sql_and_values(db.get_database_backend(), set, values);
    db.execute_raw(set).await?;
    Ok(())
}

async fn run<const N: usize>(
    db: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> Result<Vec<QueryResult>, DbErr> {
    let select = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.query_all_raw(select).await
}

fn key_of(row: &QueryResult) -> Result<(String, Uuid), DbErr> {
    Ok((row.try_get("", "user_id")?, row.try_get("", "id")?))
}

/// Returns the normal form of an `http` or `https` address.
fn form(typed: &str) -> Option<String> {
    let url = Url::parse(typed).ok()?;
    let host = url.host_str()?.trim_end_matches('.');
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let query = url
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let rest = format!("{}{query}", url.path());
    let mut parts = rest.split('%');
    let mut upper = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        upper.push('%');
        match part.split_at_checked(2) {
            Some((hex, rest)) => upper.extend([hex.to_uppercase(), rest.to_owned()]),
            None => upper.push_str(part),
        }
    }
    matches!(url.scheme(), "http" | "https").then(|| format!("https://{host}{port}{upper}"))
}
