//! Checks before the commit that everything was copied.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{
    error::Error,
    older_tables::{Labels, name_of},
    record::number,
};
use crate::library::{LabelKind, SET_ASIDE};

/// Refuses two progresses of a user on one story. The older app has a unique index against them.
pub(super) async fn refuse_doubled(db: &impl ConnectionTrait) -> Result<(), Error> {
    let sql = format!(
        "SELECT user_id::text AS user_id, story_id::text AS story_id, count(*) AS count FROM {SET_ASIDE}.topaz_progress \
         GROUP BY user_id, story_id HAVING count(*) > 1 LIMIT 1"
    );
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    let Some(row) = row else { return Ok(()) };
    Err(Error::DoubledProgress {
        user: row.try_get("", "user_id")?,
        story: row.try_get("", "story_id")?,
        count: row.try_get("", "count")?,
    })
}

/// Refuses rows that cannot be copied. The older app's constraints exclude them, unless they were dropped.
pub(super) async fn refuse_impossible(db: &impl ConnectionTrait) -> Result<(), Error> {
    let without = |what: &str, column: &str| {
        format!("NOT EXISTS (SELECT 1 FROM {what} x WHERE x.id = r.{column})")
    };
    let is_no_tenths =
        "r.rating IS NOT NULL AND NOT coalesce(r.rating * 10 BETWEEN -32768 AND 32767, false)";
    let checks = [
        (
            "topaz_progress",
            "is of no user",
            without("topaz_user", "user_id"),
        ),
        (
            "topaz_progress",
            "is of no story",
            without(&format!("{SET_ASIDE}.topaz_story"), "story_id"),
        ),
        (
            "topaz_progress",
            "has a rating that is not a number of stars",
            is_no_tenths.to_owned(),
        ),
    ];
    for (table, why, condition) in checks {
        let sql = format!(
            "SELECT r.id::text AS id FROM {SET_ASIDE}.{table} r WHERE {condition} ORDER BY r.id LIMIT 1"
        );
        let select = Statement::from_string(DbBackend::Postgres, sql);
        if let Some(row) = db.query_one_raw(select).await? {
            let id = row.try_get("", "id")?;
            return Err(Error::ImpossibleRow { table, id, why });
        }
    }
    Ok(())
}

/// Compares the numbers of progresses and stories of each user, and looks for links that have no copy.
pub(super) async fn verify(db: &impl ConnectionTrait, tables: Labels) -> Result<(), Error> {
    for table in ["topaz_progress", "topaz_story"] {
        let differ = format!(
            "SELECT count(*) FROM (SELECT user_id::text AS user_id, count(*) AS count FROM {SET_ASIDE}.topaz_progress \
               GROUP BY user_id) older \
             FULL JOIN (SELECT user_id, count(*) AS count FROM {table} GROUP BY user_id) ours USING (user_id) \
             WHERE older.count IS DISTINCT FROM ours.count"
        );
        let users = number(db, &differ).await?;
        if users > 0 {
            return Err(Error::Incomplete(format!(
                "{table} differs in number for {users} users"
            )));
        }
    }
    for kind in [LabelKind::Tag, LabelKind::Fandom] {
        let name = name_of(kind);
        let missing = format!(
            "SELECT format('the {name} %s of story %s has no copy', l.label_id, l.story_id) AS what \
             FROM {SET_ASIDE}.topaz_progress p JOIN ({}) l USING (story_id) \
             LEFT JOIN {SET_ASIDE}.adoption_merged m \
               ON m.kind = '{name}' AND m.user_id = p.user_id::text AND m.label_id = l.label_id \
             LEFT JOIN topaz_story_{name} o ON o.user_id = p.user_id::text AND o.story_id = l.story_id \
               AND o.{name}_id = coalesce(m.into_id, l.label_id) \
             WHERE o.user_id IS NULL LIMIT 1",
            tables.links(kind),
        );
        let select = Statement::from_string(DbBackend::Postgres, missing);
        if let Some(row) = db.query_one_raw(select).await? {
            return Err(Error::Incomplete(row.try_get("", "what")?));
        }
    }
    Ok(())
}
