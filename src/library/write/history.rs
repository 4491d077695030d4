//! Records the earlier values of changed fields, for [`super::changes_since`].
//!
//! **Invariant:** each change references the newest earlier change of its field by another device, so that one is found
//! without reading those between.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement, Value as Parameter};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{history_size::row_size, writer::LibraryWriter};
use crate::library::{
    entity::columns::millis,
    error::Error,
    model::{kind::Kind, patch},
};

/// Stands for all fields of a row that was recreated after a removal. Their earlier values are unknown.
pub(super) const ALL_FIELDS: &str = "*";

/// The newest earlier change of the field `changed` by a device other than $6. A change without a known device counts as
/// another device's. So does a change of an older server (`other_stamp` -1), because it may hide another device's change.
pub(super) const OTHER_STAMP: &str = "coalesce((
    SELECT CASE
        WHEN (SELECT w.device_id FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $5 AND w.version = c.stamp) = $6
          AND c.other_stamp >= 0
        THEN c.other_stamp
        ELSE c.stamp
      END
    FROM topaz_field_change c
    WHERE c.user_id = $1 AND c.kind = $2 AND c.id = changed.id AND c.field = changed.field
    ORDER BY c.stamp DESC LIMIT 1
  ), 0)";

/// Records changes of fields.
const RECORD: &str = "
INSERT INTO topaz_field_change (user_id, kind, id, stamp, changed_at, field, was, other_stamp)
SELECT $1, $2, changed.id, $3, $4, changed.field, changed.was, {other_stamp}
FROM ({changed}) AS changed";

/// Returns the fields that differ, with their values before.
pub(super) fn earlier_values(
    before: &impl Serialize,
    after: &impl Serialize,
) -> Result<Vec<(String, Value)>, Error> {
    let after = patch::fields(after)?;
    let earlier = patch::fields(before)?.into_iter();
    Ok(earlier
        .filter(|(field, was)| after.get(field) != Some(was))
        .collect())
}

/// Number of parameters of [`RECORD`] before those of the changes.
const RECORD_VALUES: usize = 6;

/// Changes per statement. SQLite allows 500 terms in a compound SELECT.
const CHANGES_A_STATEMENT: usize = 200;

impl LibraryWriter {
    /// Records the earlier values of the fields that differ.
    pub(super) async fn record(
        &mut self,
        kind: Kind,
        id: Uuid,
        before: &impl Serialize,
        after: &impl Serialize,
    ) -> Result<(), Error> {
        let earlier = earlier_values(before, after)?.into_iter();
        let changes = earlier.map(|(field, was)| (id, field, was)).collect();
        self.record_changes(kind, changes).await
    }

    /// Records that all fields of a row are new.
    pub(super) async fn record_remade(&mut self, kind: Kind, id: Uuid) -> Result<(), Error> {
        let all = vec![(id, ALL_FIELDS.to_owned(), Value::Null)];
        self.record_changes(kind, all).await
    }

    /// Records changes of fields: the row, the field and its earlier value.
    pub(super) async fn record_changes(
        &mut self,
        kind: Kind,
        changes: Vec<(Uuid, String, Value)>,
    ) -> Result<(), Error> {
        let backend = self.tx.get_database_backend();
        let id_type = match backend {
            DbBackend::Postgres => "uuid",
            _ => "blob",
        };
        for some in changes.chunks(CHANGES_A_STATEMENT) {
            let device = self.device.as_ref().map(|device| device.id().to_owned());
            let mut values: Vec<Parameter> = vec![
                self.user.as_str().into(),
                kind.name().into(),
                self.head.version.number().into(),
                millis(self.now).into(),
                self.head.epoch.number().into(),
                device.into(),
            ];
            debug_assert_eq!(values.len(), RECORD_VALUES);
            let mut rows = Vec::with_capacity(some.len());
            for (id, field, was) in some {
                let parameter = values.len() + 1;
                rows.push(format!(
                    "SELECT CAST(${parameter} AS {id_type}) AS id, CAST(${} AS text) AS field, CAST(${} AS text) AS was",
                    parameter + 1,
                    parameter + 2
                ));
                let was = was.to_string();
                self.leave_history(was.len());
                values.extend([(*id).into(), field.as_str().into(), was.into()]);
            }
            let sql = RECORD
                .replace("{other_stamp}", OTHER_STAMP)
                .replace("{changed}", &rows.join(" UNION ALL "));
            let insert = Statement::from_sql_and_values(backend, sql, values);
            self.tx.execute_raw(insert).await?;
        }
        Ok(())
    }

    /// Adds a history row with `text` bytes to the size of the change's history.
    pub(super) fn leave_history(&mut self, text: usize) {
        self.history = self.history.saturating_add(row_size(text));
    }
}
