//! Copies the present names of labels of another program.
//!
//! Labels whose names are equal after folding are one label here. The others' ids stand for it.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ConnectionTrait as _, ExprTrait as _,
    sea_query::{Expr, Query},
};
use uuid::Uuid;

use super::writer::{LibraryWriter, ROWS_A_STATEMENT};
use crate::library::{
    database::any_of::one_of,
    entity::label::{Column, names},
    error::Error,
    model::{
        id::LabelId,
        label::{Label, LabelKind},
    },
};

impl LibraryWriter {
    /// Creates and renames labels so that each of `present` exists, or a label with an equal name. Returns the label that
    /// stands for each.
    pub(super) async fn mirror_labels(
        &mut self,
        kind: LabelKind,
        present: Vec<Label>,
    ) -> Result<HashMap<LabelId, LabelId>, Error> {
        let mut by_key: BTreeMap<String, Vec<Label>> = BTreeMap::new();
        for label in present {
            by_key.entry(label.name.key()).or_default().push(label);
        }
        let ids = by_key.values().flatten().map(|label| label.id).collect();
        let stored = self.existing(kind, &ids).await?;
        let stored: HashMap<LabelId, Label> =
            stored.into_iter().map(|label| (label.id, label)).collect();
        let holders = self.holders(kind, by_key.keys()).await?;
        let (mut canonical, mut chosen) = (HashMap::new(), Vec::new());
        for (key, mut labels) in by_key {
            labels.sort_by_key(|label| (label.created_at, label.id));
            let is_present = |id: &LabelId| labels.iter().any(|label| label.id == *id);
            // A holder that is not listed under this name has another name by now, or none.
            let holder = holders.get(&key).copied();
            let holder = holder.filter(|id| is_present(id) || !ids.contains(id));
            let id = holder.unwrap_or(labels[0].id);
            canonical.extend(labels.iter().map(|label| (label.id, id)));
            chosen.extend(labels.into_iter().find(|label| label.id == id));
        }
        self.vacate(kind, &chosen, &stored, &canonical).await?;
        let (known, new): (Vec<_>, Vec<_>) = chosen
            .into_iter()
            .partition(|label| stored.contains_key(&label.id));
        for label in known {
            if stored
                .get(&label.id)
                .is_some_and(|before| before.name != label.name)
            {
                self.store_name(kind, stored[&label.id].clone(), label.name)
                    .await?;
            }
        }
        let mut inserted = Vec::new();
        for label in new {
            self.unbury(kind.into(), label.id.0).await?;
            inserted.push(self.new_label(kind, label.id, label.name));
        }
        self.insert_labels(kind, &inserted).await?;
        Ok(canonical)
    }

    /// Returns the ids of the labels that hold keys.
    async fn holders(
        &self,
        kind: LabelKind,
        keys: impl Iterator<Item = &String>,
    ) -> Result<HashMap<String, LabelId>, Error> {
        let keys: Vec<&String> = keys.collect();
        let mut holders = HashMap::new();
        for some in keys.chunks(ROWS_A_STATEMENT) {
            let select = Query::select()
                .columns([Column::Id, Column::NameKey])
                .from(names(kind).table)
                .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
                .and_where(one_of(
                    self.tx.get_database_backend(),
                    Expr::col(Column::NameKey),
                    some.iter().map(|key| key.as_str()),
                ))
                .to_owned();
            for row in self.tx.query_all(&select).await? {
                holders.insert(
                    row.try_get("", "name_key")?,
                    LabelId(row.try_get("", "id")?),
                );
            }
        }
        Ok(holders)
    }

    /// Frees the keys of labels that change their name or that another label stands for, so that names can be swapped.
    async fn vacate(
        &mut self,
        kind: LabelKind,
        chosen: &[Label],
        stored: &HashMap<LabelId, Label>,
        canonical: &HashMap<LabelId, LabelId>,
    ) -> Result<(), Error> {
        let is_renamed = |label: &&Label| {
            let before = stored.get(&label.id);
            before.is_some_and(|before| before.name.key() != label.name.key())
        };
        let renamed = chosen.iter().filter(is_renamed).map(|label| label.id);
        let merged = canonical
            .iter()
            .filter(|(id, into)| id != into && stored.contains_key(id));
        let ids: Vec<Uuid> = renamed
            .chain(merged.map(|(id, _)| *id))
            .map(|id| id.0)
            .collect();
        for id in ids {
            let vacate = Query::update()
                .table(names(kind).table)
                // No folded name has a line break.
                .value(Column::NameKey, format!("\n{id}"))
                .and_where(Expr::col(Column::UserId).eq(self.user.as_str()))
                .and_where(Expr::col(Column::Id).eq(id))
                .to_owned();
            self.tx.execute(&vacate).await?;
        }
        Ok(())
    }
}
