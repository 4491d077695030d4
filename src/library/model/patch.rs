//! A patch laid over a state, by field name.
//!
//! A patch serializes to the fields it sets and no others, under the names that its state uses, so laying one over
//! the other is a merge of two JSON objects. The same view of a state as named fields serves conflict detection.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::library::error::Error;

/// A state as its named fields.
pub(in crate::library) type Fields = Map<String, Value>;

/// The named fields of a state, or of a patch.
pub(in crate::library) fn fields(of: &impl Serialize) -> Result<Fields, Error> {
    match serde_json::to_value(of).map_err(fault)? {
        Value::Object(fields) => Ok(fields),
        other => Err(Error::fault(format!(
            "a state must be an object, not {other}"
        ))),
    }
}

/// `state` with the fields of `patch` set.
pub(in crate::library) fn apply<S: Serialize + DeserializeOwned>(
    state: &S,
    patch: &impl Serialize,
) -> Result<S, Error> {
    let mut all = fields(state)?;
    all.extend(fields(patch)?);
    serde_json::from_value(Value::Object(all)).map_err(fault)
}

fn fault(error: serde_json::Error) -> Error {
    Error::fault(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::model::progress::{ProgressPatch, ProgressState, ProgressStatus, Rating};

    #[test]
    fn an_absent_field_is_left_alone_and_null_clears() {
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
