//! Receipts: an idempotency key returns the same answer each time, and moves the version at most once.
//!
//! A receipt is written in the transaction of its change, so a crash keeps both or neither. A refusal also
//! has a receipt: an outbox that replays it gets the same refusal and continues.
//!
//! The size of a user's receipts is limited. The oldest are deleted first.
//!
//! **Invariant:** a newer server reads the answers of older ones and computes the same fingerprints. So new fields of a
//! stored type are optional, and new input fields are not part of the fingerprint unless given.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sea_orm::{ConnectionTrait, EntityTrait as _, Statement};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use time::OffsetDateTime;

use super::written::Written;
use crate::{
    library::{
        entity::{columns::millis, receipt},
        error::{Error, Refusal, RefusalCode},
    },
    version::{Head, UserId},
};

/// A client-generated name for one change, with which it can be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Maximum length in characters.
    pub const MAX: usize = 64;

    /// Validates a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is 1 to [`IdempotencyKey::MAX`] characters without control characters.
    pub fn new(key: String) -> Result<Self, Error> {
        if (1..=Self::MAX).contains(&key.chars().count()) && !key.contains(char::is_control) {
            return Ok(Self(key));
        }
        let rule = format!(
            "must be 1 to {} characters, no control characters",
            Self::MAX
        );
        Err(Error::invalid("idempotencyKey", rule))
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A change that is made at most once.
#[derive(Debug, Clone)]
pub struct Once {
    key: IdempotencyKey,
    /// A digest of the mutation and its input, which detects another change under the same key.
    fingerprint: String,
}

impl Once {
    /// The change `mutation` with `input` under `key`. Null input fields count as absent.
    ///
    /// # Errors
    /// [`Error::Fault`] when the input cannot be serialized.
    pub fn new(key: IdempotencyKey, mutation: &str, input: &impl Serialize) -> Result<Self, Error> {
        let mut input = serde_json::to_value(input).map_err(Error::fault)?;
        strip_nulls(&mut input);
        Self::of_change(key, mutation, &input)
    }

    /// Like [`Once::new`], for an input that contains a patch, in which null is a value.
    ///
    /// # Errors
    /// [`Error::Fault`] when the input cannot be serialized.
    pub fn of_change(
        key: IdempotencyKey,
        mutation: &str,
        input: &impl Serialize,
    ) -> Result<Self, Error> {
        // `Value` sorts fields, so the order of a type's fields does not matter.
        let input = serde_json::to_value((mutation, input)).map_err(Error::fault)?;
        let input = input.to_string().into_bytes();
        let fingerprint = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &input));
        Ok(Self { key, fingerprint })
    }

    pub(super) fn key(&self) -> &str {
        &self.key.0
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// Removes null fields from objects, so that a new optional input field does not change the fingerprint of an input
/// without it.
fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// Finds the stored answer of `once`.
pub(in crate::library) async fn find<T: DeserializeOwned>(
    db: &impl ConnectionTrait,
    user: &UserId,
    once: &Once,
) -> Result<Option<Written<T>>, Error> {
    let key = (user.as_str().to_owned(), once.key.0.clone());
    let Some(receipt) = receipt::Entity::find_by_id(key).one(db).await? else {
        return Ok(None);
    };
    let head = receipt.head();
    if receipt.fingerprint != once.fingerprint {
        let message = "this idempotency key was used for another change".to_owned();
        let code = RefusalCode::IdempotencyKeyReused;
        let outcome = Err(Refusal::new(code, "idempotencyKey", message));
        return Ok(Some(Written {
            head,
            outcome,
            replayed: false,
        }));
    }
    let outcome = serde_json::from_str(&receipt.answer).map_err(Error::fault)?;
    let replayed = true;
    Ok(Some(Written {
        head,
        outcome,
        replayed,
    }))
}

/// Serializes an outcome for its receipt.
pub(in crate::library) fn answer<T: Serialize>(
    outcome: &Result<T, Refusal>,
) -> Result<String, Error> {
    serde_json::to_string(outcome).map_err(Error::fault)
}

/// A receipt to store.
pub(in crate::library) struct Receipt<'a> {
    pub once: &'a Once,
    pub head: Head,
    pub answer: String,
    pub at: OffsetDateTime,
}

/// Size of a receipt without its answer, in bytes.
const OVERHEAD: i64 = 256;

/// Receipts above the limit are deleted each time another 1/`PARTS` of the limit was written.
const PARTS: i64 = 64;

/// Returns the size of a receipt with this answer, in bytes.
pub(super) fn size(answer: &str) -> i64 {
    OVERHEAD + i64::try_from(answer.len()).unwrap_or(i64::MAX / 2)
}

/// Returns whether the oldest receipts are deleted after one of `size`, which makes the user's total `total`.
pub(super) fn purges(total: i64, size: i64, most: i64) -> bool {
    let part = Ord::max(most / PARTS, 1);
    most > 0 && total > most && total / part != (total - size) / part
}

/// A receipt's total is the user's newest total plus the receipt's size.
const PUT: &str = "
INSERT INTO topaz_receipt (user_id, idempotency_key, fingerprint, answer, version, epoch, created_at, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT coalesce(max(total), 0) + $8 FROM topaz_receipt WHERE user_id = $1))
ON CONFLICT (user_id, idempotency_key) DO NOTHING RETURNING total";

/// Stores a receipt, and deletes the user's oldest above `most` bytes (0: unlimited). Returns `false` if the key already
/// has one.
pub(in crate::library) async fn put(
    db: &impl ConnectionTrait,
    user: &UserId,
    receipt: Receipt<'_>,
    most: i64,
) -> Result<bool, Error> {
    let size = size(&receipt.answer);
    let values = [
        user.as_str().into(),
        receipt.once.key.0.as_str().into(),
        receipt.once.fingerprint.as_str().into(),
        receipt.answer.into(),
        receipt.head.version.number().into(),
        receipt.head.epoch.number().into(),
        millis(receipt.at).into(),
        size.into(),
    ];
    let backend = db.get_database_backend();
    let insert = Statement::from_sql_and_values(backend, PUT, values);
    let Some(row) = db.query_one_raw(insert).await? else {
        return Ok(false);
    };
    let total: i64 = row.try_get_by_index(0)?;
    if purges(total, size, most) {
        let sql = "DELETE FROM topaz_receipt WHERE user_id = $1 AND total <= $2";
        let values = [user.as_str().into(), (total - most).into()];
        db.execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::library::{
        model::{
            progress::{ProgressPatch, ProgressState},
            source::Source,
            story::{StoryContent, StoryState, StoryStatus},
        },
        write::{
            conflict::{Against, OnConflict},
            progress::DeletedEntry,
            story::{Entry, NewEntry},
        },
    };

    fn key() -> IdempotencyKey {
        IdempotencyKey::new("k".into()).unwrap()
    }

    fn bare_entry() -> NewEntry {
        NewEntry {
            story_id: None,
            progress_id: None,
            story: StoryState {
                content: StoryContent {
                    title: "A".into(),
                    author: String::new(),
                    url: "https://example.org/a".into(),
                    source: Source::Other,
                    status: StoryStatus::Ongoing,
                    description: None,
                    summary: None,
                    chapter_count: None,
                    word_count: None,
                    is_nsfw: false,
                },
                tag_ids: [].into(),
                fandom_ids: [].into(),
            },
            progress: ProgressState::default(),
        }
    }

    /// If this fails, an upgrade breaks the replay of queued mutations: keep new fields out of the fingerprint unless they
    /// are given.
    #[test]
    fn fingerprints_equal_those_of_older_servers() {
        let create = Once::new(key(), "createStoryWithProgress", &bare_entry());
        let patch = ProgressPatch {
            notes: Some(None),
            ..ProgressPatch::default()
        };
        let update = |against: Against| {
            let input = ("0197f3c2-0000-7000-8000-000000000001", &patch, against);
            Once::of_change(key(), "updateProgress", &input)
        };
        let base = "1763809200000.7".parse().unwrap();
        let merge = Against::new(Some(base), Some(OnConflict::Merge), false).unwrap();
        let made = [
            create,
            update(Against::new(None, None, false).unwrap()),
            update(merge),
        ];
        assert_eq!(
            made.map(|once| once.unwrap().fingerprint),
            [
                "5vEBvq8DSYB-Rvl1OAIt8-mOqJYPrC4hQ8jWg5aAVQk",
                "hZK0E0A1_vIJlOkXKkzhsfKdpGjeKo6va1AFWco2uT0",
                "y2U0oUPqCEUKDJdXNRWZq2aULmegCfUPPXa-Xpuz5bg",
            ]
        );
    }

    #[test]
    fn an_absent_field_is_not_part_of_the_fingerprint_but_a_cleared_one_is() {
        let fingerprint = |input: Value| Once::new(key(), "m", &input).unwrap().fingerprint;
        let old = json!({"title": "A", "entries": [{"url": "u"}]});
        let new = json!({"title": "A", "entries": [{"url": "u", "new": null}], "new": null});
        assert_eq!(fingerprint(old.clone()), fingerprint(new));
        assert_ne!(
            fingerprint(old),
            fingerprint(json!({"title": "B", "entries": [{"url": "u"}]}))
        );
        let change = |input: Value| Once::of_change(key(), "m", &input).unwrap().fingerprint;
        assert_ne!(change(json!({"notes": null})), change(json!({})));
    }

    /// If this fails, answers from before an upgrade cannot be returned after it.
    #[test]
    fn the_answers_of_older_servers_are_read() {
        let made = r#"{"Ok":{"story":{"id":"0197f3c2-0000-7000-8000-000000000001","stamp":2,"created_at":[2026,325,12,0,0,0,0,0,0],"updated_at":[2026,325,12,0,0,0,0,0,0],"content":{"title":"A","author":"Unknown","url":"https://example.org/a","source":"OTHER","status":"ONGOING","isNsfw":false}},"tags":[],"fandoms":[],"progress":{"id":"0197f3c2-0000-7000-8000-000000000002","story_id":"0197f3c2-0000-7000-8000-000000000001","stamp":2,"created_at":[2026,325,12,0,0,0,0,0,0],"updated_at":[2026,325,12,0,0,0,0,0,0],"state":{"status":"READING","currentChapter":3,"rating":4.5}},"unlearned":1}}"#;
        let made: Result<Entry, Refusal> = serde_json::from_str(made).unwrap();
        let progress = made.unwrap().progress.unwrap();
        assert_eq!(
            (progress.stamp.number(), progress.state.current_chapter),
            (2, 3)
        );
        let deleted = r#"{"Ok":"0197f3c2-0000-7000-8000-000000000002"}"#;
        let deleted: Result<DeletedEntry, Refusal> = serde_json::from_str(deleted).unwrap();
        assert_eq!(deleted.unwrap().progress, progress.id);
        let refused = r#"{"Err":{"code":"AlreadyExists","message":"m","field":"url"}}"#;
        let refused: Result<Entry, Refusal> = serde_json::from_str(refused).unwrap();
        assert_eq!(refused.unwrap_err().code, RefusalCode::AlreadyExists);
    }
}
