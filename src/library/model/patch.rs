//! Applies a patch to a state by field name.
//!
//! A patch serializes to the fields that it sets, under its state's names, so applying it merges two JSON objects.
//! Conflict detection uses the same representation.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::library::error::Error;

/// A state as JSON fields.
pub(in crate::library) type Fields = Map<String, Value>;

/// Converts a state or a patch to its fields.
pub(in crate::library) fn fields(of: &impl Serialize) -> Result<Fields, Error> {
    match serde_json::to_value(of).map_err(Error::fault)? {
        Value::Object(fields) => Ok(fields),
        other => Err(Error::fault(format!(
            "a state must be an object, not {other}"
        ))),
    }
}

/// Returns `state` with the fields of `patch` set.
pub(in crate::library) fn apply<S: Serialize + DeserializeOwned>(
    state: &S,
    patch: &impl Serialize,
) -> Result<S, Error> {
    let mut all = fields(state)?;
    all.extend(fields(patch)?);
    serde_json::from_value(Value::Object(all)).map_err(Error::fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::model::progress::{ProgressPatch, ProgressState, ProgressStatus, Rating};

    #[test]
    fn an_absent_field_is_unchanged_and_null_clears() {
        let state = ProgressState {
            status: ProgressStatus::Reading,
            current_chapter: 4,
            rating: Some(Rating::from_stars(4.3).unwrap()),
            notes: Some("slow start".into()),
        };
        let patch = ProgressPatch {
            current_chapter: Some(5),
            notes: Some(None),
            ..ProgressPatch::default()
        };
        let expected = ProgressState {
            current_chapter: 5,
            notes: None,
            ..state.clone()
        };
        assert_eq!(apply(&state, &patch).unwrap(), expected);
    }
}
