//! Conflict resolution for a change that was made against an older version: a pure decision, field by field.
//!
//! A field *conflicts* if another device has changed it since the change's base, and the change sets another value than
//! the stored one. Changes of different fields do not conflict, and a device does not conflict with itself.
//!
//! | field since the base | stored value | `REJECT` | `MERGE` | `OVERWRITE` |
//! |---|---|---|---|---|
//! | unchanged | any | yours | yours | yours |
//! | changed only by the sending device | any | yours | yours | yours |
//! | changed | equal to yours | no change | no change | no change |
//! | changed, a set of labels | another set | conflict: nothing is written | theirs, plus what you added, less what you removed | yours |
//! | changed, the current chapter | another chapter | conflict: nothing is written | the higher one; yours with `rewind` | yours |
//! | changed, any other | another value | conflict: nothing is written | theirs, and reported as left | yours |
//!
//! If a set's value at the base is unknown (see the floor), nothing counts as removed. If the row was removed and
//! recreated since the base, every field counts as changed. The same holds for a base of another epoch or above the head:
//! a restore has undone its history.
//!
//! A change without a base overwrites, with one exception: a chapter below the stored one, and the status sent with it,
//! are left unchanged, because the device may be behind. They are written with `rewind` or `OVERWRITE`, or if the same
//! device set the stored chapter.
//!
//! **Invariant:** no field of a change is lost silently: it is stored, merged, or reported. (A lower chapter is reported
//! too.)
//! **Invariant:** a device that is behind never lowers a chapter.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    library::{
        error::{Clash, Error},
        model::{device::Device, patch::Fields},
    },
    version::{Head, Version},
};

/// The field that only grows, unless the sender rewinds.
pub(in crate::library) const CHAPTER: &str = "currentChapter";
/// The field that is as old as the chapter it was sent with.
pub(in crate::library) const STATUS: &str = "status";

/// The policy for conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnConflict {
    /// Write nothing, and report the conflicts.
    Reject,
    /// Write the other fields, merge where possible, and report the fields that were left.
    Merge,
    /// Write all fields.
    Overwrite,
}

/// The base of a change, and its conflict policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Against {
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Head>,
    on_conflict: OnConflict,
    /// Whether the sender intends to lower the chapter.
    rewind: bool,
    /// Whether a lower chapter is left unchanged. Derived from the other fields, so it is not part of a receipt's
    /// fingerprint.
    #[serde(skip)]
    keeps_furthest: bool,
}

impl Against {
    /// By default, a change with a base is rejected on conflict, and one without a base overwrites but does not lower the
    /// chapter.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a policy of reject or merge without a base.
    pub fn new(
        base: Option<Head>,
        on_conflict: Option<OnConflict>,
        rewind: bool,
    ) -> Result<Self, Error> {
        let keeps_furthest = base.is_none() && on_conflict.is_none() && !rewind;
        let on_conflict = match (base, on_conflict) {
            (None, Some(OnConflict::Reject | OnConflict::Merge)) => {
                return Err(Error::invalid("base", "is required to detect conflicts"));
            }
            (None, None) => OnConflict::Overwrite,
            (Some(_), None) => OnConflict::Reject,
            (_, Some(on_conflict)) => on_conflict,
        };
        Ok(Self {
            base,
            on_conflict,
            rewind,
            keeps_furthest,
        })
    }

    /// The base for detecting conflicts; `None` when they are ignored.
    pub(in crate::library) fn base(self) -> Option<Head> {
        self.base
            .filter(|_| self.on_conflict != OnConflict::Overwrite)
    }

    /// Returns whether `change` would lower a chapter without declaring it.
    pub(in crate::library) fn may_be_behind(self, stored: &Fields, change: &Fields) -> bool {
        let chapter = |fields: &Fields| fields.get(CHAPTER).and_then(Value::as_i64);
        self.keeps_furthest && chapter(change).is_some_and(|yours| Some(yours) < chapter(stored))
    }

    /// The effective policy. Without a base, only a lower chapter conflicts, and it is left unchanged.
    fn policy(self) -> OnConflict {
        if self.keeps_furthest {
            OnConflict::Merge
        } else {
            self.on_conflict
        }
    }
}

/// The device and time of a change.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::library) struct Origin {
    /// The device, if known.
    pub device: Option<Device>,
    pub at: OffsetDateTime,
}

/// Changes of a field by other devices since the base.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::library) struct Changed {
    /// The value at the base; `None` when unknown.
    pub base: Option<Value>,
    /// For a set, the sending device's value: the base with the device's own changes since. `None` when unknown, and for
    /// other fields, which are not merged.
    pub known: Option<Value>,
    /// The newest change by another device; `None` until it is looked up.
    pub by: Option<Origin>,
}

/// The fields that other devices changed since the base.
pub(in crate::library) type ChangedSince = BTreeMap<String, Changed>;

/// One recorded change of a field: the value before it, and its origin.
pub(in crate::library) struct Step {
    pub stamp: Version,
    pub was: Value,
    pub is_own: bool,
    pub by: Origin,
}

impl Changed {
    /// Summarizes the changes of a field since the base, newest first. `None` if all are the sender's own.
    pub(in crate::library) fn by_others(steps: &[Step], stored: &Value) -> Option<Self> {
        let by = steps.iter().find(|step| !step.is_own)?.by.clone();
        let base = steps.last()?.was.clone();
        let mut known = base.clone();
        // The value after a step is the one before the next newer step, or the stored value.
        let found = steps.iter().map(|step| &step.was);
        let after: Vec<_> = std::iter::once(stored)
            .chain(found)
            .take(steps.len())
            .collect();
        for (step, after) in steps.iter().zip(after).rev() {
            if step.is_own {
                known = replayed(&known, &step.was, after);
            }
        }
        Some(Self {
            base: Some(base),
            known: Some(known),
            by: Some(by),
        })
    }
}

/// The outcome of conflict resolution.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::library) enum Resolution {
    /// Write these fields. The fields that were left unchanged are reported.
    Apply { fields: Fields, left: Vec<Clash> },
    /// Write nothing.
    Reject(Vec<Clash>),
}

/// Resolves `change` on a row that holds `stored`, by the table above.
pub(in crate::library) fn resolve(
    against: Against,
    since: &ChangedSince,
    stored: &Fields,
    change: &Fields,
) -> Resolution {
    let policy = against.policy();
    let (mut fields, mut left) = (Fields::new(), Vec::new());
    for (field, yours) in change {
        let theirs = stored.get(field).unwrap_or(&Value::Null);
        let changed = match since.get(field) {
            Some(changed) if theirs != yours && policy != OnConflict::Overwrite => changed,
            _ => {
                fields.insert(field.clone(), yours.clone());
                continue;
            }
        };
        let merged = match policy {
            OnConflict::Merge => {
                let known = changed.known.as_ref();
                merge(field, known, yours, theirs, against.rewind)
            }
            _ => None,
        };
        match merged {
            Some(merged) => {
                fields.insert(field.clone(), merged);
            }
            None => left.push(Clash {
                row: None,
                field: field.clone(),
                base: changed.base.clone(),
                yours: yours.clone(),
                theirs: theirs.clone(),
                device: changed.by.as_ref().and_then(|by| by.device.clone()),
                at: changed.by.as_ref().map(|by| by.at),
            }),
        }
    }
    if policy == OnConflict::Reject && !left.is_empty() {
        return Resolution::Reject(left);
    }
    Resolution::Apply { fields, left }
}

/// Replays the additions and removals between two sets onto another set. Other values are replaced.
fn replayed(value: &Value, was: &Value, after: &Value) -> Value {
    if !value.is_array() {
        return after.clone();
    }
    let (was, after) = (set(was), set(after));
    let kept = set(value)
        .into_iter()
        .filter(|id| !was.contains(id) || after.contains(id));
    let added = after.difference(&was).copied();
    let ids: BTreeSet<_> = kept.chain(added).collect();
    ids.into_iter().map(Value::from).collect()
}

/// Merges two values of a field; `None` when theirs stays. `base` is the sender's value before the change.
fn merge(
    field: &str,
    base: Option<&Value>,
    yours: &Value,
    theirs: &Value,
    rewind: bool,
) -> Option<Value> {
    match field {
        "tagIds" | "fandomIds" => {
            let (base, yours, theirs) =
                (base.map(set).unwrap_or_default(), set(yours), set(theirs));
            let removed: BTreeSet<_> = base.difference(&yours).copied().collect();
            let joined = theirs.union(&yours).filter(|id| {
                // They removed a label that you and the base have and they have not.
                !removed.contains(*id) && (theirs.contains(*id) || !base.contains(*id))
            });
            Some(joined.map(|id| Value::from(*id)).collect())
        }
        CHAPTER if rewind || yours.as_i64() > theirs.as_i64() => Some(yours.clone()),
        _ => None,
    }
}

fn set(value: &Value) -> BTreeSet<&str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, option, prelude::*, sample::subsequence};
    use serde_json::json;

    use super::*;

    fn merging() -> Against {
        let base = "1.5".parse().unwrap();
        Against::new(Some(base), Some(OnConflict::Merge), false).unwrap()
    }

    /// A field changed by another device.
    fn changed(base: Value) -> Changed {
        Changed {
            base: Some(base.clone()),
            known: Some(base),
            by: None,
        }
    }

    fn object(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other}"),
        }
    }

    fn resolved(against: Against, since: &Value, stored: Value, change: Value) -> Resolution {
        let since = object(since.clone())
            .into_iter()
            .map(|(field, base)| (field, changed(base)))
            .collect();
        resolve(against, &since, &object(stored), &object(change))
    }

    /// Resolves one row of the table: the field changed from `base` to `theirs`, and the change sets `yours`.
    fn row(
        on_conflict: OnConflict,
        rewind: bool,
        field: &str,
        [base, yours, theirs]: [Value; 3],
    ) -> Resolution {
        let against = Against {
            on_conflict,
            rewind,
            ..merging()
        };
        resolved(
            against,
            &json!({ field: base }),
            json!({ field: theirs }),
            json!({ field: yours }),
        )
    }

    fn applied(fields: Value) -> Resolution {
        Resolution::Apply {
            fields: object(fields),
            left: vec![],
        }
    }

    #[test]
    fn each_row_of_the_table_holds() {
        use OnConflict::{Merge, Overwrite, Reject};
        for policy in [Reject, Merge, Overwrite] {
            let against = Against {
                on_conflict: policy,
                ..merging()
            };
            let unchanged = resolved(
                against,
                &json!({}),
                json!({"title": "a"}),
                json!({"title": "b"}),
            );
            assert_eq!(
                unchanged,
                applied(json!({"title": "b"})),
                "unchanged: yours"
            );
            let same = row(policy, false, "title", [json!("a"), json!("b"), json!("b")]);
            assert_eq!(same, applied(json!({"title": "b"})), "equal: no change");
        }
        let texts = [json!("a"), json!("b"), json!("c")];
        let clash = |field: &str, [base, yours, theirs]: [Value; 3]| {
            vec![Clash {
                row: None,
                field: field.into(),
                base: Some(base),
                yours,
                theirs,
                device: None,
                at: None,
            }]
        };
        assert_eq!(
            row(Reject, false, "title", texts.clone()),
            Resolution::Reject(clash("title", texts.clone()))
        );
        let left = Resolution::Apply {
            fields: Fields::new(),
            left: clash("title", texts.clone()),
        };
        assert_eq!(row(Merge, false, "title", texts.clone()), left);
        assert_eq!(
            row(Overwrite, false, "title", texts),
            applied(json!({"title": "b"}))
        );

        let sets = [json!(["a", "b"]), json!(["b", "c"]), json!(["a", "b", "d"])];
        assert_eq!(
            row(Reject, false, "tagIds", sets.clone()),
            Resolution::Reject(clash("tagIds", sets.clone()))
        );
        assert_eq!(
            row(Merge, false, "tagIds", sets.clone()),
            applied(json!({"tagIds": ["b", "c", "d"]}))
        );
        assert_eq!(
            row(Overwrite, false, "tagIds", sets),
            applied(json!({"tagIds": ["b", "c"]}))
        );

        let behind = [json!(3), json!(5), json!(9)];
        let left = Resolution::Apply {
            fields: Fields::new(),
            left: clash("currentChapter", behind.clone()),
        };
        assert_eq!(row(Merge, false, "currentChapter", behind.clone()), left);
        assert_eq!(
            row(Merge, true, "currentChapter", behind),
            applied(json!({"currentChapter": 5}))
        );
        let ahead = [json!(3), json!(9), json!(5)];
        assert_eq!(
            row(Merge, false, "currentChapter", ahead),
            applied(json!({"currentChapter": 9}))
        );
    }

    #[test]
    fn nothing_counts_as_removed_from_an_unknown_base() {
        let since = ChangedSince::from([("tagIds".to_owned(), Changed::default())]);
        let resolution = resolve(
            merging(),
            &since,
            &object(json!({"tagIds": ["a"]})),
            &object(json!({"tagIds": ["b"]})),
        );
        assert_eq!(resolution, applied(json!({"tagIds": ["a", "b"]})));
    }

    #[test]
    fn conflicts_cannot_be_detected_without_a_base() {
        for policy in [OnConflict::Reject, OnConflict::Merge] {
            assert!(Against::new(None, Some(policy), false).is_err());
        }
        assert!(Against::new(None, None, false).is_ok());
    }

    fn step(was: Value, is_own: bool) -> Step {
        let by = Origin {
            device: None,
            at: OffsetDateTime::UNIX_EPOCH,
        };
        let stamp = Version::FIRST;
        Step {
            stamp,
            was,
            is_own,
            by,
        }
    }

    #[test]
    fn the_senders_own_changes_do_not_conflict() {
        let own = vec![step(json!("b"), true), step(json!("a"), true)];
        assert_eq!(Changed::by_others(&own, &json!("c")), None);
        let mixed = vec![step(json!("b"), true), step(json!("a"), false)];
        assert_eq!(
            Changed::by_others(&mixed, &json!("c")).unwrap().base,
            Some(json!("a"))
        );
    }

    #[test]
    fn a_label_that_the_sender_added_since_the_base_can_be_removed_again() {
        // From {a, b}: another device adds d, the sender replaces a by c, then removes c.
        let steps = vec![
            step(json!(["a", "b", "d"]), true),
            step(json!(["a", "b"]), false),
        ];
        let stored = json!(["b", "c", "d"]);
        let tags = Changed::by_others(&steps, &stored).unwrap();
        assert_eq!(tags.known, Some(json!(["b", "c"])));
        let since = ChangedSince::from([("tagIds".to_owned(), tags)]);
        let stored = object(json!({"tagIds": stored}));
        let resolution = resolve(
            merging(),
            &since,
            &stored,
            &object(json!({"tagIds": ["b"]})),
        );
        assert_eq!(resolution, applied(json!({"tagIds": ["b", "d"]})));
    }

    #[test]
    fn only_an_undeclared_lower_chapter_may_be_behind() {
        let (stored, change) = (
            object(json!({"currentChapter": 9})),
            object(json!({"currentChapter": 5})),
        );
        let base = "1.5".parse().ok();
        for (against, expected) in [
            (Against::new(None, None, false), true),
            (Against::new(None, None, true), false),
            (
                Against::new(None, Some(OnConflict::Overwrite), false),
                false,
            ),
            (Against::new(base, None, false), false),
        ] {
            let against = against.unwrap();
            assert_eq!(against.may_be_behind(&stored, &change), expected);
            assert!(!against.may_be_behind(&change, &stored));
        }
    }

    fn value(field: &'static str) -> BoxedStrategy<Value> {
        match field {
            "tagIds" => subsequence(vec!["a", "b", "c", "d"], 0..=4)
                .prop_map(|ids| json!(ids))
                .boxed(),
            "currentChapter" => (0..5).prop_map(|chapter| json!(chapter)).boxed(),
            _ => option::of("[xyz]").prop_map(|text| json!(text)).boxed(),
        }
    }

    fn state() -> impl Strategy<Value = Fields> {
        (
            value("tagIds"),
            value("currentChapter"),
            value("title"),
            value("notes"),
        )
            .prop_map(|(t, c, a, n)| {
                object(json!({"tagIds": t, "currentChapter": c, "title": a, "notes": n}))
            })
    }

    /// A state restricted to some fields.
    fn change() -> impl Strategy<Value = Fields> {
        (
            state(),
            btree_map(
                prop::sample::select(vec!["tagIds", "currentChapter", "title", "notes"]),
                Just(()),
                1..4,
            ),
        )
            .prop_map(|(state, fields)| {
                state
                    .into_iter()
                    .filter(|(field, _)| fields.contains_key(field.as_str()))
                    .collect()
            })
    }

    /// Merges `change` into a row. Returns the row and the fields that were left.
    fn merged(base: &Fields, stored: &Fields, change: &Fields) -> (Fields, Vec<Clash>) {
        let since = base
            .iter()
            .filter(|(field, value)| stored.get(*field) != Some(value))
            .map(|(field, value)| (field.clone(), changed(value.clone())))
            .collect();
        match resolve(merging(), &since, stored, change) {
            Resolution::Apply { fields, left } => {
                let mut after = stored.clone();
                after.extend(fields);
                (after, left)
            }
            Resolution::Reject(_) => panic!("a merge rejects nothing"),
        }
    }

    proptest! {
        #[test]
        fn merging_is_idempotent(base in state(), stored in state(), change in change()) {
            let (once, _) = merged(&base, &stored, &change);
            let (twice, _) = merged(&base, &once, &change);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn changes_of_different_fields_commute(base in state(), a in change(), b in change()) {
            let b: Fields = b.into_iter().filter(|(field, _)| !a.contains_key(field)).collect();
            let (a_first, left_a) = merged(&base, &merged(&base, &base, &a).0, &b);
            let (b_first, left_b) = merged(&base, &merged(&base, &base, &b).0, &a);
            prop_assert_eq!(a_first, b_first);
            prop_assert!(left_a.is_empty() && left_b.is_empty());
        }

        #[test]
        fn merging_label_sets_is_commutative(base in value("tagIds"), a in value("tagIds"), b in value("tagIds")) {
            let state = |tags: &Value| object(json!({"tagIds": tags}));
            let a_first = merged(&state(&base), &state(&a), &state(&b)).0;
            let b_first = merged(&state(&base), &state(&b), &state(&a)).0;
            prop_assert_eq!(a_first, b_first);
        }

        #[test]
        fn no_field_is_lost_silently(base in state(), stored in state(), change in change()) {
            let (after, left) = merged(&base, &stored, &change);
            for (field, yours) in &change {
                let reported = left.iter().any(|clash| &clash.field == field);
                let (held, theirs) = (&after[field], &stored[field]);
                let joined = match field.as_str() {
                    // Your additions are stored, and your removals are not, unless the other device re-added them.
                    "tagIds" => {
                        let (base, yours, held) = (set(&base[field]), set(yours), set(held));
                        yours.difference(&base).all(|id| held.contains(id))
                            && base.difference(&yours).all(|id| !held.contains(id))
                    }
                    _ => false,
                };
                prop_assert!(held == yours || joined || (reported && held == theirs), "{} {:?} {:?}", field, after, left);
            }
        }
    }
}
