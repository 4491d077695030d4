//! The report of an adoption: what was repaired, kept, merged and left out, a line per row.
//!
//! The lines are stored in `topaz_before.adoption_report`, so that memory is bounded and they can be read later.

use std::io::Write;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use serde::Serialize;
use uuid::Uuid;

use super::{
    cursor::Cursor,
    error::Error,
    mapping::Note,
    older_tables::{Labels, name_of},
};
use crate::{
    library::{LabelKind, SET_ASIDE, StoryState},
    version::{InvalidUserId, UserId},
};

/// Where the lines are printed.
pub type Lines<'a> = &'a mut (dyn Write + Send);

#[derive(Serialize)]
struct Line<'a> {
    outcome: &'static str,
    kind: &'static str,
    user_id: &'a str,
    id: Uuid,
    rule: &'a str,
}

/// Stores lines.
#[expect(clippy::disallowed_methods, reason = "writes no row of a library")]
pub(super) async fn note(db: &impl ConnectionTrait, notes: &[(UserId, Note)]) -> Result<(), DbErr> {
    if notes.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = notes
        .iter()
        .map(|(user, note)| Line {
            outcome: note.outcome.into(),
            kind: note.kind,
            user_id: user.as_str(),
            id: note.id,
            rule: &note.rule,
        })
        .collect();
    let json = serde_json::to_string(&lines).map_err(|error| DbErr::Json(error.to_string()))?;
    let insert = "INSERT INTO topaz_before.adoption_report (outcome, kind, user_id, id, rule) \
         SELECT outcome, kind, user_id, id, rule FROM json_to_recordset($1::json) \
         AS r (outcome text, kind text, user_id text, id uuid, rule text)";
    db.execute_raw(Statement::from_sql_and_values(
        DbBackend::Postgres,
        insert,
        [Value::from(json)],
    ))
    .await?;
    Ok(())
}

/// Stores a line for each row that is not copied, and for each story with more labels than an edit may set.
#[expect(clippy::disallowed_methods, reason = "writes no row of a library")]
pub(super) async fn note_left_out(db: &impl ConnectionTrait, tables: Labels) -> Result<(), DbErr> {
    let insert = "INSERT INTO topaz_before.adoption_report (outcome, kind, user_id, id, rule)";
    let stories = format!(
        "{insert} SELECT 'left out', 'story', NULL, s.id, 'no progress, so it belongs to no user' \
         FROM {SET_ASIDE}.topaz_story s \
         WHERE NOT EXISTS (SELECT 1 FROM {SET_ASIDE}.topaz_progress p WHERE p.story_id = s.id) ORDER BY s.id"
    );
    db.execute_unprepared(&stories).await?;
    for kind in [LabelKind::Tag, LabelKind::Fandom] {
        let name = name_of(kind);
        let unused = format!(
            "{insert} SELECT 'left out', '{name}', NULL, t.id, 'on no story of any user' FROM ({}) t \
             WHERE NOT EXISTS (SELECT 1 FROM ({}) l JOIN {SET_ASIDE}.topaz_progress p USING (story_id) \
               WHERE l.label_id = t.id) ORDER BY t.id",
            tables.names(kind),
            tables.links(kind),
        );
        db.execute_unprepared(&unused).await?;
        let most = StoryState::MAX_LABELS;
        let many = format!(
            "{insert} SELECT 'kept', 'story', user_id, story_id, 'more than {most} {name}s' FROM topaz_story_{name} \
             GROUP BY user_id, story_id HAVING count(*) > {most} ORDER BY user_id, story_id"
        );
        db.execute_unprepared(&many).await?;
    }
    Ok(())
}

/// Prints the lines, and how many there are of each outcome.
pub(super) async fn print(db: &impl ConnectionTrait, out: Lines<'_>) -> Result<(), Error> {
    let select = "SELECT outcome, kind, user_id, id::text AS id, rule FROM topaz_before.adoption_report ORDER BY line";
    let mut cursor = Cursor::open(db, "report", select).await?;
    while let Some(rows) = cursor.next().await? {
        for row in rows {
            let (outcome, kind): (String, String) =
                (row.try_get("", "outcome")?, row.try_get("", "kind")?);
            let (id, rule): (String, String) = (row.try_get("", "id")?, row.try_get("", "rule")?);
            let user: Option<String> = row.try_get("", "user_id")?;
            let of = user
                .map(|user| format!(" of user {user}"))
                .unwrap_or_default();
            writeln!(out, "{outcome:8}  {kind} {id}{of}: {rule}")?;
        }
    }
    Ok(())
}

/// A user id of the older app that cannot be the subject of a token.
pub(super) fn unusable(error: InvalidUserId) -> DbErr {
    DbErr::Custom(format!("topaz_user holds an unusable id: {error}"))
}
