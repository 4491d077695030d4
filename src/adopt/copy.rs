//! Copies entries: for each progress its story and itself, in batches from a cursor.

use sea_orm::ConnectionTrait;
use time::OffsetDateTime;

use super::{
    cursor::Cursor,
    error::Error,
    mapping::{self, Note, Outcome},
    older_row::{self, OlderRow},
    report,
};
use crate::library::insert_entries;

/// Copies all entries, and reports the running count to `progress`. Of two stories of a user with one address, the one
/// with the newest progress comes first and keeps it.
pub(super) async fn copy_entries(
    db: &impl ConnectionTrait,
    now: OffsetDateTime,
    progress: &dyn Fn(u64),
) -> Result<u64, Error> {
    let order = "ORDER BY u.subject, coalesce(p.updated_at, p.created_at) DESC NULLS LAST, p.id";
    let mut cursor =
        Cursor::open(db, "entries", &format!("{} {order}", older_row::select())).await?;
    let mut copied = 0;
    while let Some(rows) = cursor.next().await? {
        let (mut entries, mut notes) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let (entry, about) =
                mapping::entry(OlderRow::of(row)?, now).map_err(report::unusable)?;
            notes.extend(about.into_iter().map(|note| (entry.user.clone(), note)));
            entries.push(entry);
        }
        for (user, id) in insert_entries(db, &entries).await? {
            let rule =
                "address that another story of the user has: #<public_id> is appended".to_owned();
            let (outcome, kind) = (Outcome::Repaired, "story");
            notes.push((
                user,
                Note {
                    outcome,
                    kind,
                    id,
                    rule,
                },
            ));
        }
        report::note(db, &notes).await?;
        copied += entries.len() as u64;
        progress(copied);
    }
    Ok(copied)
}
