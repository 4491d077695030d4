//! The versions of users: recorded, moved by the adoption, and restored.
//!
//! After an adoption a user's version is one above the older app's, so that its pages load once. The version is also the
//! floor and every stamp, and the epoch is new, so that devices with an older copy reset.
#![expect(
    clippy::disallowed_methods,
    reason = "an adoption begins an epoch for every user"
)]

use sea_orm::{ConnectionTrait, DbErr};

use super::record::is_true;

/// Records the versions before, where the columns exist.
pub(super) async fn record(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let has = async |column: &str| {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'topaz_user'::regclass AND attname = '{column}' \
             AND NOT attisdropped)"
        );
        Ok::<_, DbErr>(if is_true(db, &sql).await? {
            column.to_owned()
        } else {
            "NULL".to_owned()
        })
    };
    let sql = format!(
        "INSERT INTO topaz_before.adoption_user (subject, was_version, was_epoch, was_floor) \
         SELECT id::text, {}, {}, {} FROM topaz_user",
        has("library_version").await?,
        has("library_epoch").await?,
        has("library_floor").await?,
    );
    db.execute_unprepared(&sql).await?;
    Ok(())
}

/// Begins an epoch at the next version for every user. Users get different epochs, as in `library::epoch`.
const BEGIN: &str = "
UPDATE topaz_user u SET library_version = began.version, library_floor = began.version, library_counted = 0,
  library_epoch = greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint + began.place, u.library_epoch + 1)
FROM (
  SELECT subject, least(greatest(library_version, 1), 2147483646) + 1 AS version,
    row_number() OVER (ORDER BY subject) - 1 AS place
  FROM topaz_user
) AS began
WHERE u.subject = began.subject;
UPDATE topaz_before.adoption_user r SET adopted_version = u.library_version
FROM topaz_user u WHERE u.subject = r.subject;
";

/// Moves the versions.
pub(super) async fn begin(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.execute_unprepared(BEGIN).await?;
    Ok(())
}

/// Restores the versions that nothing has moved since the adoption. A version that has moved stays: a page must not see it
/// fall.
pub(super) async fn restore(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    for (column, was, is_unmoved) in [
        ("library_floor", "was_floor", "true"),
        ("library_epoch", "was_epoch", "true"),
        (
            "library_version",
            "was_version",
            "u.library_version = r.adopted_version",
        ),
    ] {
        let has = format!(
            "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'topaz_user'::regclass AND attname = '{column}' \
             AND NOT attisdropped)"
        );
        if is_true(db, &has).await? {
            let sql = format!(
                "UPDATE topaz_user u SET {column} = r.{was} FROM topaz_before.adoption_user r \
                 WHERE r.subject = u.id::text AND r.{was} IS NOT NULL AND {is_unmoved}"
            );
            db.execute_unprepared(&sql).await?;
        }
    }
    Ok(())
}
