//! The decision of `undo` and `restoreLibrary` about one row: pure, from the row at three moments.
//!
//! *before* is the row that the change brings back, *after* the row that the sender knows, and *now* the present row. A
//! field *conflicts* if it differs from *after*. A row conflicts if it was created or removed since. *after* is unknown if
//! the sender knows a library of another epoch, above the head, or below the floor. Each value may have changed since then.
//!
//! | before | after | now | decision |
//! |---|---|---|---|
//! | absent | as now | present | remove |
//! | absent | different from now | present | conflict |
//! | absent | unknown | present | conflict: created since |
//! | present | absent | absent | create |
//! | present | present or unknown | absent | conflict: removed since |
//! | present | absent | different from before | conflict: created since |
//! | present | present | present | set each field, unless it conflicts |
//! | present | unknown | different from before | each field that differs conflicts |
//!
//! A row that was removed and created again since has another time of creation. It conflicts as one created since.
//!
//! The policies are those of [`super::conflict`]: REJECT writes nothing, MERGE writes what does not conflict and merges
//! sets of labels, OVERWRITE writes everything.
//!
//! **Invariant:** a change of the sending device after *after* conflicts too. The sender asks for an earlier state, and
//! does not mean to discard its own later changes.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::conflict::OnConflict;
use crate::library::{error::Clash, model::patch::Fields};

/// A row at three moments.
#[derive(Debug, Default)]
pub(super) struct Moments {
    pub before: Option<Fields>,
    pub after: Known,
    pub now: Option<Fields>,
}

/// The row that the sender knows.
#[derive(Debug, Default)]
pub(super) enum Known {
    #[default]
    Absent,
    Present(Fields),
    Unknown,
}

/// The time of creation, which tells two lives of an id apart. A row of another life is replaced, with the fields that
/// changed since, so that both halves of an entry are.
pub(super) const CREATION: &str = "createdAt";

/// What to do with a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    Leave,
    Remove,
    Create,
    /// Set these fields.
    Set(Fields),
}

/// Which fields of a row are brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that differ between *before* and *after*: one write is undone.
    Write,
    /// Those that differ between *before* and *now*: the library is restored.
    Row,
}

/// Decides about the row `id`. Returns the conflicts too, even if they are overridden.
pub(super) fn decide(
    id: Uuid,
    moments: &Moments,
    scope: Scope,
    policy: OnConflict,
) -> (Decision, Vec<Clash>) {
    let Moments { before, after, now } = moments;
    let forced = |decision| match policy {
        OnConflict::Overwrite => decision,
        _ => Decision::Leave,
    };
    let row = |yours: &Value, theirs: &Value| clash(id, "id", None, yours, theirs);
    let (own, null) = (Value::from(id.to_string()), Value::Null);
    match (before, after, now) {
        (None, _, None) => (Decision::Leave, Vec::new()),
        (None, Known::Present(after), Some(now)) if is_same_life(after, now) => {
            let clashes = differing(after, now)
                .map(|field| clash(id, field, after.get(field), &null, value(now, field)))
                .collect::<Vec<_>>();
            if clashes.is_empty() {
                (Decision::Remove, clashes)
            } else {
                (forced(Decision::Remove), clashes)
            }
        }
        (None, _, Some(_)) => (forced(Decision::Remove), vec![row(&null, &own)]),
        (Some(_), Known::Absent, None) => (Decision::Create, Vec::new()),
        (Some(_), _, None) => (forced(Decision::Create), vec![row(&own, &null)]),
        (Some(before), Known::Absent | Known::Unknown, Some(now)) if before == now => {
            (Decision::Leave, Vec::new())
        }
        (Some(before), Known::Absent, Some(_)) => {
            (forced(Decision::Set(before.clone())), vec![row(&own, &own)])
        }
        (Some(before), Known::Present(after), Some(now)) => {
            let decided = fields(id, before, Some(after), now, scope, policy);
            let is_created_again = !is_same_life(after, now) && !is_same_life(before, now);
            if is_created_again && decided != (Decision::Leave, Vec::new()) {
                (forced(decided.0), vec![row(&own, &own)])
            } else {
                decided
            }
        }
        (Some(before), Known::Unknown, Some(now)) => {
            if is_same_life(before, now) {
                fields(id, before, None, now, scope, policy)
            } else {
                (forced(Decision::Set(before.clone())), vec![row(&own, &own)])
            }
        }
    }
}

fn is_same_life(one: &Fields, other: &Fields) -> bool {
    one.get(CREATION) == other.get(CREATION)
}

/// Decides about each field of a row that is present at all moments. `after` is `None` if it is unknown.
fn fields(
    id: Uuid,
    before: &Fields,
    after: Option<&Fields>,
    now: &Fields,
    scope: Scope,
    policy: OnConflict,
) -> (Decision, Vec<Clash>) {
    let other = match (scope, after) {
        (Scope::Write, Some(after)) => after,
        _ => now,
    };
    let (mut set, mut clashes) = (Fields::new(), Vec::new());
    for field in differing(before, other) {
        let (was, held) = (value(before, field), value(now, field));
        let known = after.map(|after| value(after, field));
        if held == was {
            continue;
        }
        if known == Some(held) || policy == OnConflict::Overwrite {
            set.insert(field.clone(), was.clone());
        } else if policy == OnConflict::Merge && was.is_array() {
            set.insert(field.clone(), merged(was, known, held));
        } else {
            clashes.push(clash(id, field, known, was, held));
        }
    }
    if set.is_empty() {
        (Decision::Leave, clashes)
    } else {
        (Decision::Set(set), clashes)
    }
}

/// Takes the step from `was` to `known` back in the set `held`. No member counts as added by an unknown step.
fn merged(was: &Value, known: Option<&Value>, held: &Value) -> Value {
    let known = known.map(members).unwrap_or_default();
    let (was, held) = (members(was), members(held));
    let kept = held
        .iter()
        .filter(|id| !known.contains(*id) || was.contains(*id));
    let lost = was.difference(&known);
    let ids: BTreeSet<_> = kept.chain(lost).copied().collect();
    ids.into_iter().map(Value::from).collect()
}

fn members(set: &Value) -> BTreeSet<&str> {
    let ids = set.as_array().into_iter().flatten();
    ids.filter_map(Value::as_str).collect()
}

fn differing<'f>(one: &'f Fields, other: &'f Fields) -> impl Iterator<Item = &'f String> {
    one.keys()
        .filter(|field| one.get(*field) != other.get(*field))
}

fn value<'f>(fields: &'f Fields, field: &str) -> &'f Value {
    fields.get(field).unwrap_or(&Value::Null)
}

fn clash(id: Uuid, field: &str, base: Option<&Value>, yours: &Value, theirs: &Value) -> Clash {
    Clash {
        row: Some(id),
        field: field.to_owned(),
        base: base.cloned(),
        yours: yours.clone(),
        theirs: theirs.clone(),
        device: None,
        at: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields_of(value: Value) -> Option<Fields> {
        match value {
            Value::Object(fields) => Some(fields),
            _ => None,
        }
    }

    fn decided(
        [before, after, now]: [Value; 3],
        scope: Scope,
        policy: OnConflict,
    ) -> (Decision, Vec<String>) {
        let [before, now] = [before, now].map(fields_of);
        let after = match after {
            Value::String(_) => Known::Unknown,
            after => fields_of(after).map_or(Known::Absent, Known::Present),
        };
        let moments = Moments { before, after, now };
        let (decision, clashes) = decide(Uuid::nil(), &moments, scope, policy);
        (
            decision,
            clashes.into_iter().map(|clash| clash.field).collect(),
        )
    }

    fn set(fields: Value) -> Decision {
        Decision::Set(fields_of(fields).unwrap())
    }

    #[test]
    fn each_row_of_the_table_holds() {
        use OnConflict::{Merge, Overwrite, Reject};
        let (a, b, none) = (json!({"title": "a"}), json!({"title": "b"}), Value::Null);
        let unknown = json!("unknown");
        let [b1, a2, b2, a3] = [("b", 1), ("a", 2), ("b", 2), ("a", 3)]
            .map(|(title, life)| json!({"title": title, "createdAt": life}));
        for (moments, free, fields, forced) in [
            ([&none, &a, &a], Decision::Remove, vec![], Decision::Remove),
            (
                [&none, &a, &b],
                Decision::Leave,
                vec!["title"],
                Decision::Remove,
            ),
            (
                [&none, &none, &a],
                Decision::Leave,
                vec!["id"],
                Decision::Remove,
            ),
            ([&none, &a, &none], Decision::Leave, vec![], Decision::Leave),
            (
                [&a, &none, &none],
                Decision::Create,
                vec![],
                Decision::Create,
            ),
            (
                [&a, &b, &none],
                Decision::Leave,
                vec!["id"],
                Decision::Create,
            ),
            ([&a, &none, &a], Decision::Leave, vec![], Decision::Leave),
            ([&a, &none, &b], Decision::Leave, vec!["id"], set(a.clone())),
            ([&a, &b, &b], set(a.clone()), vec![], set(a.clone())),
            (
                [&none, &unknown, &a],
                Decision::Leave,
                vec!["id"],
                Decision::Remove,
            ),
            (
                [&a, &unknown, &none],
                Decision::Leave,
                vec!["id"],
                Decision::Create,
            ),
            ([&a, &unknown, &a], Decision::Leave, vec![], Decision::Leave),
            (
                [&a, &unknown, &b],
                Decision::Leave,
                vec!["title"],
                set(a.clone()),
            ),
            (
                [&none, &b1, &b2],
                Decision::Leave,
                vec!["id"],
                Decision::Remove,
            ),
            (
                [&a3, &b1, &b2],
                Decision::Leave,
                vec!["id"],
                set(a3.clone()),
            ),
            ([&a2, &b1, &b1], set(a2.clone()), vec![], set(a2.clone())),
            ([&a2, &b1, &a2], Decision::Leave, vec![], Decision::Leave),
        ] {
            let moments = moments.map(Clone::clone);
            for policy in [Reject, Merge] {
                let decided = decided(moments.clone(), Scope::Write, policy);
                assert_eq!(
                    decided,
                    (
                        free.clone(),
                        fields.iter().map(ToString::to_string).collect()
                    ),
                    "{moments:?}"
                );
            }
            assert_eq!(
                decided(moments.clone(), Scope::Write, Overwrite).0,
                forced,
                "{moments:?}"
            );
        }
    }

    #[test]
    fn a_field_that_changed_since_conflicts_and_the_others_are_set() {
        let moments = [
            json!({"title": "a", "author": "x"}),
            json!({"title": "b", "author": "y"}),
            json!({"title": "c", "author": "y"}),
        ];
        let merged = decided(moments.clone(), Scope::Write, OnConflict::Merge);
        assert_eq!(
            merged,
            (set(json!({"author": "x"})), vec!["title".to_owned()])
        );
        let forced = decided(moments, Scope::Write, OnConflict::Overwrite);
        assert_eq!(forced.0, set(json!({"title": "a", "author": "x"})));
    }

    #[test]
    fn a_write_is_undone_but_a_restore_brings_every_field_back() {
        let moments = [
            json!({"title": "a", "author": "x"}),
            json!({"title": "b", "author": "x"}),
            json!({"title": "b", "author": "z"}),
        ];
        let undone = decided(moments.clone(), Scope::Write, OnConflict::Reject);
        assert_eq!(undone, (set(json!({"title": "a"})), vec![]));
        let restored = decided(moments, Scope::Row, OnConflict::Reject);
        assert_eq!(
            restored.1,
            ["author"],
            "changed after what the sender knows"
        );
    }

    #[test]
    fn sets_of_labels_merge_by_taking_the_step_back() {
        let moments = [
            json!({"tagIds": ["1", "2"]}),
            json!({"tagIds": ["2", "3"]}),
            json!({"tagIds": ["2", "3", "4"]}),
        ];
        let merged = decided(moments.clone(), Scope::Write, OnConflict::Merge);
        assert_eq!(merged, (set(json!({"tagIds": ["1", "2", "4"]})), vec![]));
        let rejected = decided(moments, Scope::Write, OnConflict::Reject);
        assert_eq!(rejected, (Decision::Leave, vec!["tagIds".to_owned()]));
    }
}
