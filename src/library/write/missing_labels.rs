//! Labels that no longer exist: a story that is brought back cannot carry them.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use super::writer::{LibraryWriter, ROWS_A_STATEMENT};
use crate::library::{
    error::{Clash, Error},
    model::{id::LabelId, kind::Kind, label::LabelKind, patch::Fields},
    read::past::past_row::PastStory,
};

impl LibraryWriter {
    /// Leaves labels out that do not exist, and returns them as conflicts.
    pub(super) async fn drop_missing_labels(
        &self,
        create: &mut [PastStory],
        set: &mut [(Uuid, Fields)],
    ) -> Result<Vec<(Kind, Clash)>, Error> {
        let mut clashes = Vec::new();
        for kind in [LabelKind::Tag, LabelKind::Fandom] {
            let field = kind.ids_field();
            let in_set = |fields: &Fields| -> BTreeSet<LabelId> {
                let ids = fields.get(field).cloned().unwrap_or_default();
                serde_json::from_value(ids).unwrap_or_default()
            };
            let mut wanted: BTreeSet<LabelId> = create
                .iter()
                .flat_map(|past| past.state.label_ids(kind))
                .copied()
                .collect();
            wanted.extend(set.iter().flat_map(|(_, fields)| in_set(fields)));
            let mut existing = BTreeSet::new();
            let all: Vec<_> = wanted.iter().copied().collect();
            for some in all.chunks(ROWS_A_STATEMENT) {
                let some = some.iter().copied().collect();
                let labels = self.existing(kind, &some).await?;
                existing.extend(labels.into_iter().map(|label| label.id));
            }
            if existing.len() == wanted.len() {
                continue;
            }
            let clash = |id: Uuid, yours: &BTreeSet<LabelId>, kept: &BTreeSet<LabelId>| {
                let [yours, theirs] = [yours, kept].map(|ids| json!(ids));
                let field = field.to_owned();
                let (base, device, at) = (Some(yours.clone()), None, None);
                let row = Some(id);
                (
                    Kind::Story,
                    Clash {
                        row,
                        field,
                        base,
                        yours,
                        theirs,
                        device,
                        at,
                    },
                )
            };
            for past in create.iter_mut() {
                let ids = past.state.label_ids(kind).clone();
                let kept: BTreeSet<_> = ids.intersection(&existing).copied().collect();
                if kept != ids {
                    clashes.push(clash(past.id.0, &ids, &kept));
                    *past.state.label_ids_mut(kind) = kept;
                }
            }
            for (id, fields) in set
                .iter_mut()
                .filter(|(_, fields)| fields.contains_key(field))
            {
                let ids = in_set(fields);
                let kept: BTreeSet<_> = ids.intersection(&existing).copied().collect();
                if kept != ids {
                    clashes.push(clash(*id, &ids, &kept));
                    fields.insert(field.to_owned(), json!(kept));
                }
            }
        }
        Ok(clashes)
    }
}
