//! What becomes of a change that was made against an older version: a pure decision, field by field.
//!
//! A *clash* is a field that the change sets to another value than the row holds, although somebody else has changed
//! it since the change's base. Everything else is no conflict, so two devices that change different fields of one
//! row never meet here.
//!
//! | the field, since the base | the row holds | `REJECT` | `MERGE` | `OVERWRITE` |
//! |---|---|---|---|---|
//! | unchanged | anything | yours | yours | yours |
//! | changed | the same as yours | nothing to do | nothing to do | nothing to do |
//! | changed, a set of labels | another set | clash: nothing is written | theirs, plus what you added, less what you removed | yours |
//! | changed, the current chapter | another chapter | clash: nothing is written | the furthest; yours if you rewind | yours |
//! | changed, any other | another value | clash: nothing is written | theirs, and it is reported as left | yours |
//!
//! What a set held at the base may be forgotten (see the floor); then nothing counts as removed. A field of a row that was
//! removed and made again since the base counts as changed, and so does every field when the base is above the head: it
//! is then of a numbering that a restore has undone.
//!
//! **Invariant:** no field of a change is lost in silence: each is in the row afterwards, was merged into it, or is
//! reported. (A chapter behind the furthest is reported too.)

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{
    error::{Clash, Error},
    patch::Fields,
};
use crate::version::Version;

/// What to do about clashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnConflict {
    /// Write nothing, and tell.
    Reject,
    /// Write what does not clash, join what can be joined, and tell what was left.
    Merge,
    /// Write it all.
    Overwrite,
}

/// What a change was made against, and what is to become of it if the row has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Against {
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Version>,
    on_conflict: OnConflict,
    /// Whether a chapter behind the furthest is meant.
    rewind: bool,
}

impl Against {
    /// Whatever the row holds.
    pub const ANYTHING: Self = Self {
        base: None,
        on_conflict: OnConflict::Overwrite,
        rewind: false,
    };

    /// Without a word on conflicts, a change with a base is rejected when it clashes, and one without overwrites.
    ///
    /// # Errors
    /// [`Error::Invalid`] when clashes are to be told or merged but there is no base to find them by.
    pub fn new(
        base: Option<Version>,
        on_conflict: Option<OnConflict>,
        rewind: bool,
    ) -> Result<Self, Error> {
        let on_conflict = match (base, on_conflict) {
            (None, Some(OnConflict::Reject | OnConflict::Merge)) => {
                return Err(Error::invalid("base", "is needed to find conflicts"));
            }
            (None, None) => OnConflict::Overwrite,
            (Some(_), None) => OnConflict::Reject,
            (_, Some(on_conflict)) => on_conflict,
        };
        Ok(Self {
            base,
            on_conflict,
            rewind,
        })
    }

    /// The base to find clashes by; none when they do not matter.
    pub(super) fn base(self) -> Option<Version> {
        self.base
            .filter(|_| self.on_conflict != OnConflict::Overwrite)
    }
}

/// The fields that were changed since the base, with what each held then; `None` where that is forgotten.
pub(super) type ChangedSince = BTreeMap<String, Option<Value>>;

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resolution {
    /// Write these fields. What was left as it is, is told.
    Apply { fields: Fields, left: Vec<Clash> },
    /// Write nothing.
    Reject(Vec<Clash>),
}

/// Decides what becomes of `change` on a row that holds `stored`. See the table above.
pub(super) fn resolve(
    against: Against,
    since: &ChangedSince,
    stored: &Fields,
    change: &Fields,
) -> Resolution {
    let (mut fields, mut left) = (Fields::new(), Vec::new());
    for (field, yours) in change {
        let theirs = stored.get(field).unwrap_or(&Value::Null);
        let base = match since.get(field) {
            Some(base) if theirs != yours && against.on_conflict != OnConflict::Overwrite => base,
            _ => {
                fields.insert(field.clone(), yours.clone());
                continue;
            }
        };
        let merged = match against.on_conflict {
            OnConflict::Merge => merge(field, base.as_ref(), yours, theirs, against.rewind),
            _ => None,
        };
        match merged {
            Some(merged) => {
                fields.insert(field.clone(), merged);
            }
            None => left.push(Clash {
                field: field.clone(),
                base: base.clone(),
                yours: yours.clone(),
                theirs: theirs.clone(),
            }),
        }
    }
    if against.on_conflict == OnConflict::Reject && !left.is_empty() {
        return Resolution::Reject(left);
    }
    Resolution::Apply { fields, left }
}

/// Joins the two values of a field that can be joined; `None` when theirs stays.
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
                // What both the base and you have, and they have not, they removed.
                !removed.contains(*id) && (theirs.contains(*id) || !base.contains(*id))
            });
            Some(joined.map(|id| Value::from(*id)).collect())
        }
        "currentChapter" if rewind || yours.as_i64() > theirs.as_i64() => Some(yours.clone()),
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
        Against {
            base: Some(Version::new(5)),
            on_conflict: OnConflict::Merge,
            rewind: false,
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
            .map(|(field, base)| (field, Some(base)))
            .collect();
        resolve(against, &since, &object(stored), &object(change))
    }

    /// One row of the table: the field changed from `base` to `theirs` while we set `yours`.
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
            assert_eq!(
                same,
                applied(json!({"title": "b"})),
                "the same: nothing to do"
            );
        }
        let texts = [json!("a"), json!("b"), json!("c")];
        let clash = |field: &str, [base, yours, theirs]: [Value; 3]| {
            vec![Clash {
                field: field.into(),
                base: Some(base),
                yours,
                theirs,
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
    fn where_the_base_is_forgotten_nothing_counts_as_removed() {
        let since = ChangedSince::from([("tagIds".to_owned(), None)]);
        let resolution = resolve(
            merging(),
            &since,
            &object(json!({"tagIds": ["a"]})),
            &object(json!({"tagIds": ["b"]})),
        );
        assert_eq!(resolution, applied(json!({"tagIds": ["a", "b"]})));
    }

    #[test]
    fn clashes_cannot_be_found_without_a_base() {
        for policy in [OnConflict::Reject, OnConflict::Merge] {
            assert!(Against::new(None, Some(policy), false).is_err());
        }
        assert_eq!(Against::new(None, None, false).unwrap(), Against::ANYTHING);
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

    /// Some fields of a state, set to other values.
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

    /// What a row holds after `change` was merged into it, and what was left.
    fn merged(base: &Fields, stored: &Fields, change: &Fields) -> (Fields, Vec<Clash>) {
        let since = base
            .iter()
            .filter(|(field, value)| stored.get(*field) != Some(value))
            .map(|(field, value)| (field.clone(), Some(value.clone())))
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
        fn merging_a_change_again_changes_nothing_more(base in state(), stored in state(), change in change()) {
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
        fn label_sets_merge_to_the_same_whoever_comes_first(base in value("tagIds"), a in value("tagIds"), b in value("tagIds")) {
            let state = |tags: &Value| object(json!({"tagIds": tags}));
            let a_first = merged(&state(&base), &state(&a), &state(&b)).0;
            let b_first = merged(&state(&base), &state(&b), &state(&a)).0;
            prop_assert_eq!(a_first, b_first);
        }

        #[test]
        fn no_field_is_lost_in_silence(base in state(), stored in state(), change in change()) {
            let (after, left) = merged(&base, &stored, &change);
            for (field, yours) in &change {
                let told = left.iter().any(|clash| &clash.field == field);
                let (held, theirs) = (&after[field], &stored[field]);
                let joined = match field.as_str() {
                    // What you added is there, and what you removed is not, unless the other side's word stands.
                    "tagIds" => {
                        let (base, yours, held) = (set(&base[field]), set(yours), set(held));
                        yours.difference(&base).all(|id| held.contains(id))
                            && base.difference(&yours).all(|id| !held.contains(id))
                    }
                    _ => false,
                };
                prop_assert!(held == yours || joined || (told && held == theirs), "{} {:?} {:?}", field, after, left);
            }
        }
    }
}
