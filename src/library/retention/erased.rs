//! Deletes the rows of erased users, once no device that history serves can be unaware of the erasure.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::library::{error::Error, handle::Library};

/// Users whose library has not changed since their erasure before $1. A user who came back has rows, or a greater version.
const DELETE: &str = "
DELETE FROM topaz_user WHERE library_erased > 0 AND library_erased < $1 AND library_epoch = library_erased
  AND library_version = library_floor
  AND NOT EXISTS (SELECT 1 FROM topaz_story WHERE user_id = subject)
  AND NOT EXISTS (SELECT 1 FROM topaz_tag WHERE user_id = subject)
  AND NOT EXISTS (SELECT 1 FROM topaz_fandom WHERE user_id = subject)
  AND NOT EXISTS (SELECT 1 FROM topaz_push_endpoint WHERE user_id = subject)";

/// A condition that the table is not the older app's, which owns its rows.
const IS_OURS: &str =
    " AND obj_description('topaz_user'::regclass, 'pg_class') = 'created by library-sync'";

impl Library {
    /// Deletes the rows of users who were erased before `before`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(super) async fn purge_erased(&self, before: i64) -> Result<(), Error> {
        let db = self.db.write.clone();
        let delete = async move {
            let backend = db.get_database_backend();
            let is_ours = match backend {
                DbBackend::Sqlite => "",
                _ => IS_OURS,
            };
            let sql = format!("{DELETE}{is_ours}");
            let delete = Statement::from_sql_and_values(backend, sql, [before.into()]);
            db.execute_raw(delete).await?;
            Ok(())
        };
        self.write_apart(delete).await?;
        self.scrub_log_once().await;
        Ok(())
    }
}
