//! Records the earlier values of changed fields, for [`super::changes_since`].
//!
//! **Invariant:** each change references the newest earlier change of its field by another device, so that one is found
//! without reading those between.

use sea_orm::{ConnectionTrait as _, Statement, Value as Parameter};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{history_limit::HISTORY_ROW, writer::LibraryWriter};
use crate::library::{
    entity::columns::millis,
    error::Error,
    model::{kind::Kind, patch},
};

/// Stands for all fields of a row that was recreated after a removal. Their earlier values are unknown.
pub(super) const ALL_FIELDS: &str = "*";

/// Records changes of fields. A change without a known device counts as another device's. So does a change of an older
/// server (`other_stamp` -1), because it may hide another device's change.
const RECORD: &str = "
INSERT INTO topaz_field_change (user_id, kind, id, stamp, changed_at, field, was, other_stamp)
SELECT $1, $2, $3, $4, $5, changed.field, changed.was, coalesce((
    SELECT CASE
        WHEN (SELECT w.device_id FROM topaz_write w WHERE w.user_id = $1 AND w.epoch = $6 AND w.version = c.stamp) = $7
          AND c.other_stamp >= 0
        THEN c.other_stamp
        ELSE c.stamp
      END
    FROM topaz_field_change c
    WHERE c.user_id = $1 AND c.kind = $2 AND c.id = $3 AND c.field = changed.field
    ORDER BY c.stamp DESC LIMIT 1
  ), 0)
FROM ({changed}) AS changed";

/// Number of parameters of [`RECORD`] before those of the changes.
const RECORD_VALUES: usize = 7;

impl LibraryWriter {
    /// Records the earlier values of the fields that differ.
    pub(super) async fn record(
        &mut self,
        kind: Kind,
        id: Uuid,
        before: &impl Serialize,
        after: &impl Serialize,
    ) -> Result<(), Error> {
        let after = patch::fields(after)?;
        let differ = patch::fields(before)?
            .into_iter()
            .filter(|(field, was)| after.get(field) != Some(was))
            .collect();
        self.record_fields(kind, id, differ).await
    }

    /// Records that all fields of a row are new.
    pub(super) async fn record_remade(&mut self, kind: Kind, id: Uuid) -> Result<(), Error> {
        let all = vec![(ALL_FIELDS.to_owned(), Value::Null)];
        self.record_fields(kind, id, all).await
    }

    async fn record_fields(
        &mut self,
        kind: Kind,
        id: Uuid,
        fields: Vec<(String, Value)>,
    ) -> Result<(), Error> {
        if fields.is_empty() {
            return Ok(());
        }
        let device = self.device.as_ref().map(|device| device.id().to_owned());
        let mut values: Vec<Parameter> = vec![
            self.user.as_str().into(),
            kind.name().into(),
            id.into(),
            self.head.version.number().into(),
            millis(self.now).into(),
            self.head.epoch.number().into(),
            device.into(),
        ];
        debug_assert_eq!(values.len(), RECORD_VALUES);
        let mut rows = Vec::with_capacity(fields.len());
        for (n, (field, was)) in fields.into_iter().enumerate() {
            let parameter = RECORD_VALUES + 1 + 2 * n;
            rows.push(format!(
                "SELECT CAST(${parameter} AS text) AS field, CAST(${} AS text) AS was",
                parameter + 1
            ));
            let was = was.to_string();
            self.leave_history(was.len());
            values.extend([field.into(), was.into()]);
        }
        let sql = RECORD.replace("{changed}", &rows.join(" UNION ALL "));
        let insert = Statement::from_sql_and_values(self.tx.get_database_backend(), sql, values);
        self.tx.execute_raw(insert).await?;
        Ok(())
    }

    /// Adds a history row with `text` bytes to the size of the change's history.
    pub(super) fn leave_history(&mut self, text: usize) {
        let text = i64::try_from(text).unwrap_or(i64::MAX / 2);
        self.history = self
            .history
            .saturating_add(HISTORY_ROW.saturating_add(text));
    }
}
