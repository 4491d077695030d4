//! The present state of some stories of one user in the older app's tables, mapped by the rules of an adoption.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    adopt::{
        mapping,
        older_row::{self, OlderRow},
        older_tables::{Labels, millis, name_of},
        report,
    },
    library::{AdoptedEntry, Label, LabelKind, MirroredEntry},
    version::{UserId, Version},
};

/// Both kinds, in the order of the arrays of this module.
pub(super) const KINDS: [LabelKind; 2] = [LabelKind::Tag, LabelKind::Fandom];

/// Reads stories of a user, each with its progress and labels. A story without a progress of the user is gone.
pub(super) async fn read(
    db: &impl ConnectionTrait,
    tables: Labels,
    user: &UserId,
    stories: &BTreeSet<Uuid>,
) -> Result<Vec<MirroredEntry>, DbErr> {
    let now = OffsetDateTime::now_utc();
    let sql = format!(
        "{} WHERE u.subject = $1 AND p.story_id IN (SELECT unnest(string_to_array($2, ','))::uuid)",
        older_row::select()
    );
    let mut found: BTreeMap<Uuid, AdoptedEntry> = BTreeMap::new();
    for row in query(db, &sql, [user.as_str().into(), joined(stories).into()]).await? {
        let (entry, _) = mapping::entry(OlderRow::of(&row)?, now).map_err(report::unusable)?;
        found.insert(entry.story.id.0, entry);
    }
    let mut labels: BTreeMap<Uuid, [Vec<Label>; 2]> = BTreeMap::new();
    for (at, kind) in KINDS.into_iter().enumerate() {
        let sql = format!(
            "SELECT l.story_id, t.id, t.name, {} AS created, {} AS updated FROM ({}) l JOIN ({}) t ON t.id = l.label_id \
             WHERE l.story_id IN (SELECT unnest(string_to_array($1, ','))::uuid)",
            millis("t.created_at"),
            millis("t.updated_at"),
            tables.links(kind),
            tables.names(kind),
        );
        for row in query(db, &sql, [joined(stories).into()]).await? {
            let of_story = labels.entry(row.try_get("", "story_id")?).or_default();
            of_story[at].push(label(&row, kind, now)?);
        }
    }
    let entries = stories.iter().map(|story| MirroredEntry {
        story: *story,
        entry: found.remove(story),
        labels: labels.remove(story).unwrap_or_default(),
    });
    Ok(entries.collect())
}

/// Reads labels by their ids.
pub(super) async fn labels(
    db: &impl ConnectionTrait,
    tables: Labels,
    kind: LabelKind,
    ids: &BTreeSet<Uuid>,
) -> Result<Vec<Label>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT t.id, t.name, {} AS created, {} AS updated FROM ({}) t \
         WHERE t.id IN (SELECT unnest(string_to_array($1, ','))::uuid)",
        millis("t.created_at"),
        millis("t.updated_at"),
        tables.names(kind),
    );
    let rows = query(db, &sql, [joined(ids).into()]).await?;
    let now = OffsetDateTime::now_utc();
    rows.iter().map(|row| label(row, kind, now)).collect()
}

/// Reads the stories of a user that carry a label.
pub(super) async fn carriers(
    db: &impl ConnectionTrait,
    tables: Labels,
    user: &UserId,
    kind: LabelKind,
    label: Uuid,
) -> Result<BTreeSet<Uuid>, DbErr> {
    let sql = format!(
        "SELECT p.story_id FROM topaz_before.topaz_progress p JOIN ({}) l USING (story_id) \
         WHERE p.user_id::text = $1 AND l.label_id = $2",
        tables.links(kind),
    );
    let rows = query(db, &sql, [user.as_str().into(), label.into()]).await?;
    rows.iter().map(|row| row.try_get("", "story_id")).collect()
}

fn label(row: &QueryResult, kind: LabelKind, now: OffsetDateTime) -> Result<Label, DbErr> {
    let name: Option<String> = row.try_get("", "name")?;
    let times = (row.try_get("", "created")?, row.try_get("", "updated")?);
    let id = row.try_get("", "id")?;
    // The writer stamps it.
    let stamp = Version::FIRST;
    let name = name.unwrap_or_default();
    let (label, _) = mapping::label(name_of(kind), id, &name, stamp, times, now);
    Ok(label)
}

pub(super) fn joined(ids: &BTreeSet<Uuid>) -> String {
    let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
    ids.join(",")
}

pub(super) async fn query<const N: usize>(
    db: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_sql_and_values(
        DbBackend::Postgres,
        sql,
        values,
    ))
    .await
}
