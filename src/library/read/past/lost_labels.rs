//! The labels of stories: as they are now, and those that a story lost because the label was deleted.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ConnectionTrait as _, DbBackend, ExprTrait as _, Statement,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use crate::{
    library::{
        database::{any_of::one_of, transaction::Transaction},
        entity::label::{Column, names},
        error::Error,
        model::{kind::Kind, label::LabelKind},
    },
    version::{UserId, Version},
};

/// Number of rows up to which their history is searched for each row. For more, one scan of the history is cheaper.
pub(super) const FEW: usize = 100;

/// Stories per statement that searches removals. SQLite allows 500 terms in a compound SELECT.
const STORIES_A_STATEMENT: usize = 200;

/// The deleted labels of each of the `{stories}`, after version $2. A removal holds the ids of its stories as text.
const LOST: &str = "
SELECT s.id AS story, r.stamp, r.kind, r.id AS label
FROM ({stories}) AS s
JOIN topaz_label_removal r ON r.user_id = $1 AND r.stamp > $2
  AND r.first_story <= s.id AND r.last_story >= s.id AND r.carriers LIKE s.pattern";

/// A label that a story lost.
pub(super) struct Lost {
    pub story: Uuid,
    pub stamp: Version,
    pub kind: LabelKind,
    pub label: Uuid,
}

/// Returns the ids of the labels of one kind on each of these stories.
pub(in crate::library) async fn links(
    tx: &Transaction,
    user: &UserId,
    kind: LabelKind,
    stories: &[Uuid],
) -> Result<HashMap<Uuid, BTreeSet<Uuid>>, Error> {
    let names = names(kind);
    let select = Query::select()
        .column(Column::StoryId)
        .expr_as(Expr::col(names.link_column), "label_id")
        .from(names.link_table)
        .and_where(Expr::col(Column::UserId).eq(user.as_str()))
        .and_where(one_of(
            tx.get_database_backend(),
            Expr::col(Column::StoryId),
            stories.iter().copied(),
        ))
        .to_owned();
    let mut links = HashMap::<_, BTreeSet<_>>::new();
    for row in tx.query_all(&select).await? {
        let story = row.try_get("", "story_id")?;
        links
            .entry(story)
            .or_default()
            .insert(row.try_get("", "label_id")?);
    }
    Ok(links)
}

/// Returns the labels that these stories lost after `version`.
pub(super) async fn lost(
    tx: &Transaction,
    user: &UserId,
    stories: &[Uuid],
    version: Version,
) -> Result<Vec<Lost>, Error> {
    if stories.len() > FEW {
        return lost_by_many(tx, user, stories, version).await;
    }
    let backend = tx.get_database_backend();
    let mut all = Vec::new();
    for some in stories.chunks(STORIES_A_STATEMENT) {
        let mut values: Vec<sea_orm::Value> = vec![user.as_str().into(), version.number().into()];
        let mut rows = Vec::with_capacity(some.len());
        for story in some {
            values.extend([(*story).into(), format!("%{}%", story.simple()).into()]);
            let (id, pattern) = (values.len() - 1, values.len());
            rows.push(match backend {
                DbBackend::Postgres => {
                    format!("SELECT CAST(${id} AS uuid) AS id, CAST(${pattern} AS text) AS pattern")
                }
                _ => format!("SELECT ${id} AS id, ${pattern} AS pattern"),
            });
        }
        let sql = LOST.replace("{stories}", &rows.join(" UNION ALL "));
        let select = Statement::from_sql_and_values(backend, sql, values);
        for row in tx.query_all_raw(select).await? {
            let kind: String = row.try_get("", "kind")?;
            let kind = kind.parse::<Kind>().map_err(Error::fault)?;
            all.push(Lost {
                story: row.try_get("", "story")?,
                stamp: Version::new(row.try_get("", "stamp")?),
                kind: label_kind(kind),
                label: row.try_get("", "label")?,
            });
        }
    }
    Ok(all)
}

/// The same, in one scan of all removals.
async fn lost_by_many(
    tx: &Transaction,
    user: &UserId,
    stories: &[Uuid],
    version: Version,
) -> Result<Vec<Lost>, Error> {
    let stories: HashSet<_> = stories.iter().collect();
    let sql = "SELECT stamp, kind, id, carriers FROM topaz_label_removal WHERE user_id = $1 AND stamp > $2";
    let values = [user.as_str().into(), version.number().into()];
    let select = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let mut all = Vec::new();
    for row in tx.query_all_raw(select).await? {
        let (kind, carriers): (String, String) =
            (row.try_get("", "kind")?, row.try_get("", "carriers")?);
        let kind = label_kind(kind.parse::<Kind>().map_err(Error::fault)?);
        let stamp = Version::new(row.try_get("", "stamp")?);
        let label = row.try_get("", "id")?;
        let carriers = carriers.split(' ').filter_map(|id| id.parse().ok());
        let carriers = carriers.filter(|story: &Uuid| stories.contains(story));
        all.extend(carriers.map(|story| Lost {
            story,
            stamp,
            kind,
            label,
        }));
    }
    Ok(all)
}

pub(super) fn label_kind(kind: Kind) -> LabelKind {
    match kind {
        Kind::Fandom => LabelKind::Fandom,
        _ => LabelKind::Tag,
    }
}
