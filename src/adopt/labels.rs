//! Copies labels: one of each for every user whose stories carry it. Labels of a user whose names are equal after folding
//! are merged into the oldest.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    cursor::{BATCH, Cursor},
    error::Error,
    mapping::{self, Note, Outcome},
    older_tables::{Labels, millis, name_of},
    report,
};
use crate::{
    library::{Label, LabelKind, SET_ASIDE, insert_labels, insert_links},
    version::{UserId, Version},
};

/// The number of labels and links that were copied.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub labels: u64,
    pub links: u64,
}

/// Copies the labels of one kind, with the links of the copied stories to them.
pub(super) async fn copy(
    db: &impl ConnectionTrait,
    tables: Labels,
    kind: LabelKind,
    now: OffsetDateTime,
) -> Result<Counts, Error> {
    let mut cursor = Cursor::open(db, name_of(kind), &carried(tables, kind)).await?;
    let (mut counts, mut of_user) = (Counts::default(), OfUser::default());
    while let Some(rows) = cursor.next().await? {
        let (mut labels, mut notes, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let user: String = row.try_get("", "user_id")?;
            let user = UserId::new(&user).map_err(report::unusable)?;
            let (label, about) = mapping::label(
                name_of(kind),
                row.try_get("", "id")?,
                row.try_get::<Option<String>>("", "name")?
                    .as_deref()
                    .unwrap_or_default(),
                Version::new(row.try_get("", "stamp")?),
                (row.try_get("", "created")?, row.try_get("", "updated")?),
                now,
            );
            if let Some(into) = of_user.oldest(&user, &label) {
                notes.push((user.clone(), merge_note(kind, &label, into)));
                merged.push((user, label.id.0, into));
            } else {
                notes.extend(about.into_iter().map(|note| (user.clone(), note)));
                labels.push((user, label));
            }
        }
        insert_labels(db, kind, &labels).await?;
        put_merged(db, kind, &merged).await?;
        report::note(db, &notes).await?;
        counts.labels += labels.len() as u64;
    }
    counts.links = insert_links(db, kind, &links(tables, kind)).await?;
    Ok(counts)
}

/// The first label of each name of one user. The rows come in order of user, then age.
#[derive(Default)]
struct OfUser {
    user: Option<UserId>,
    by_key: HashMap<String, Uuid>,
}

impl OfUser {
    /// Returns the older label with the name of `label`, if there is one.
    fn oldest(&mut self, user: &UserId, label: &Label) -> Option<Uuid> {
        if self.user.as_ref() != Some(user) {
            self.user = Some(user.clone());
            self.by_key.clear();
        }
        let first = *self.by_key.entry(label.name.key()).or_insert(label.id.0);
        (first != label.id.0).then_some(first)
    }
}

fn merge_note(kind: LabelKind, label: &Label, into: Uuid) -> Note {
    Note {
        outcome: Outcome::Merged,
        kind: name_of(kind),
        id: label.id.0,
        rule: format!("same name, ignoring case and Unicode form, as {into}"),
    }
}

/// SQL that selects the labels of each user in order of user, then age.
fn carried(tables: Labels, kind: LabelKind) -> String {
    format!(
        "SELECT u.subject AS user_id, u.library_version AS stamp, t.id, t.name, {} AS created, {} AS updated \
         FROM (SELECT DISTINCT p.user_id, l.label_id FROM {SET_ASIDE}.topaz_progress p JOIN ({}) l USING (story_id)) c \
         JOIN ({}) t ON t.id = c.label_id JOIN topaz_user u ON u.id = c.user_id \
         ORDER BY u.subject, t.created_at NULLS LAST, t.id",
        millis("t.created_at"),
        millis("t.updated_at"),
        tables.links(kind),
        tables.names(kind),
    )
}

/// SQL that selects the links of each user, with merged labels replaced.
fn links(tables: Labels, kind: LabelKind) -> String {
    format!(
        "SELECT DISTINCT u.subject, l.story_id, coalesce(m.into_id, l.label_id) \
         FROM {SET_ASIDE}.topaz_progress p JOIN ({}) l USING (story_id) JOIN topaz_user u ON u.id = p.user_id \
         LEFT JOIN {SET_ASIDE}.adoption_merged m \
           ON m.kind = '{}' AND m.user_id = u.subject AND m.label_id = l.label_id",
        tables.links(kind),
        name_of(kind),
    )
}

#[expect(clippy::disallowed_methods, reason = "writes no row of a library")]
async fn put_merged(
    db: &impl ConnectionTrait,
    kind: LabelKind,
    merged: &[(UserId, Uuid, Uuid)],
) -> Result<(), Error> {
    for some in merged.chunks(BATCH) {
        let json =
            serde_json::to_string(some).map_err(|error| sea_orm::DbErr::Json(error.to_string()))?;
        let sql = "INSERT INTO topaz_before.adoption_merged (kind, user_id, label_id, into_id) \
             SELECT $1, e ->> 0, (e ->> 1)::uuid, (e ->> 2)::uuid FROM json_array_elements($2::json) e";
        let values: [Value; 2] = [name_of(kind).into(), json.into()];
        db.execute_raw(Statement::from_sql_and_values(
            DbBackend::Postgres,
            sql,
            values,
        ))
        .await?;
    }
    Ok(())
}
