//! The rows that an earlier write touched, or all writes after a version.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, Statement};
use uuid::Uuid;

use crate::{
    library::{database::transaction::Transaction, error::Error, model::kind::Kind},
    version::{UserId, Version},
};

/// Which writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::library) enum Writes {
    /// All after a version.
    After(Version),
    /// One.
    Only(Version),
}

/// Returns the rows of a kind that the writes created, changed or removed.
pub(in crate::library) async fn touched(
    tx: &Transaction,
    user: &UserId,
    kind: Kind,
    writes: Writes,
) -> Result<BTreeSet<Uuid>, Error> {
    let mut found = rows(tx, user, kind, writes).await?;
    if kind == Kind::Story
        && let Writes::Only(version) = writes
    {
        found.extend(carriers(tx, user, version).await?);
    }
    Ok(found)
}

async fn rows(
    tx: &Transaction,
    user: &UserId,
    kind: Kind,
    writes: Writes,
) -> Result<BTreeSet<Uuid>, Error> {
    let table = match kind {
        Kind::Story => "topaz_story",
        Kind::Progress => "topaz_progress",
        Kind::Tag => "topaz_tag",
        Kind::Fandom => "topaz_fandom",
    };
    let (present, of_writes, version) = match writes {
        Writes::After(version) => (
            format!("SELECT id FROM {table} WHERE user_id = $1 AND stamp > $2"),
            "stamp > $2",
            version,
        ),
        Writes::Only(version) => (
            // A row is stamped by the write that creates it or by a later one. The index is on stamps.
            format!(
                "SELECT id FROM {table} WHERE user_id = $1 AND stamp >= $2 AND created_stamp = $2 \
                 UNION SELECT id FROM topaz_field_change WHERE user_id = $1 AND kind = $3 AND stamp = $2"
            ),
            // Also a row that the write created and a later one removed.
            "stamp >= $2 AND (stamp = $2 OR created_stamp = $2)",
            version,
        ),
    };
    let sql = format!(
        "{present} \
         UNION SELECT id FROM topaz_tombstone WHERE user_id = $1 AND kind = $3 AND {of_writes} \
         UNION SELECT id FROM topaz_undone_removal WHERE user_id = $1 AND kind = $3 AND {of_writes}"
    );
    let values = [
        user.as_str().into(),
        version.number().into(),
        kind.name().into(),
    ];
    let select = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let rows = tx.query_all_raw(select).await?;
    let ids = rows.iter().map(|row| Ok(row.try_get("", "id")?));
    ids.collect()
}

/// Returns the stories that lost a label at `version`, because the label was deleted.
async fn carriers(
    tx: &Transaction,
    user: &UserId,
    version: Version,
) -> Result<BTreeSet<Uuid>, Error> {
    let sql = "SELECT carriers FROM topaz_label_removal WHERE user_id = $1 AND stamp = $2";
    let values = [user.as_str().into(), version.number().into()];
    let select = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    let mut ids = BTreeSet::new();
    for row in tx.query_all_raw(select).await? {
        let carriers: String = row.try_get("", "carriers")?;
        let carriers = carriers.split(' ').filter_map(|id| id.parse::<Uuid>().ok());
        ids.extend(carriers);
    }
    Ok(ids)
}
