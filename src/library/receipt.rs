//! Replay: the same idempotency key gives the same answer, and moves the version at most once.
//!
//! A receipt is written in the transaction of the change that it answers, so a crash between commit and answer leaves
//! both or neither. A refusal changes nothing, but has its receipt too: an outbox that replays it is told the same and
//! goes on.

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait as _, sea_query::OnConflict};
use serde::{Serialize, de::DeserializeOwned};
use time::OffsetDateTime;

use super::{
    Written,
    entity::{millis, receipt},
    error::{Error, Refusal, RefusalCode},
};
use crate::version::{Head, UserId};

/// What a client calls one change, to be able to send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The longest key, in characters.
    pub const MAX: usize = 64;

    /// Accepts a key.
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

/// A change that is made once, however often it is sent.
#[derive(Debug, Clone)]
pub struct Once {
    key: IdempotencyKey,
    /// A digest of what it asks for, by which another change under the same key is told apart.
    fingerprint: String,
}

impl Once {
    /// The change that the client calls `key`: `mutation` with `input`.
    ///
    /// # Errors
    /// [`Error::Fault`] when the input cannot be written as JSON.
    pub fn new(key: IdempotencyKey, mutation: &str, input: &impl Serialize) -> Result<Self, Error> {
        let input = serde_json::to_vec(&(mutation, input)).map_err(Error::fault)?;
        let fingerprint = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &input));
        Ok(Self { key, fingerprint })
    }
}

/// The answer that `once` got before, if it was made before.
pub(super) async fn find<T: DeserializeOwned>(
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
        return Ok(Some(Written {
            head,
            outcome: Err(reused()),
        }));
    }
    let outcome = serde_json::from_str(&receipt.answer).map_err(Error::fault)?;
    Ok(Some(Written { head, outcome }))
}

/// An outcome as it is kept.
pub(super) fn answer<T: Serialize>(outcome: &Result<T, Refusal>) -> Result<String, Error> {
    serde_json::to_string(outcome).map_err(Error::fault)
}

/// Keeps the answer of `once`. `false` when another answer was kept first.
pub(super) async fn put(
    db: &impl ConnectionTrait,
    user: &UserId,
    once: &Once,
    head: Head,
    answer: String,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let receipt = receipt::ActiveModel {
        user_id: Set(user.as_str().to_owned()),
        idempotency_key: Set(once.key.0.clone()),
        fingerprint: Set(once.fingerprint.clone()),
        answer: Set(answer),
        version: Set(head.version.number()),
        epoch: Set(head.epoch.number()),
        created_at: Set(millis(now)),
    };
    let first = OnConflict::columns([receipt::Column::UserId, receipt::Column::IdempotencyKey])
        .do_nothing()
        .to_owned();
    match receipt::Entity::insert(receipt)
        .on_conflict(first)
        .exec_without_returning(db)
        .await
    {
        Ok(inserted) => Ok(inserted > 0),
        Err(sea_orm::DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn reused() -> Refusal {
    Refusal {
        code: RefusalCode::IdempotencyKeyReused,
        message: "this idempotency key was used for another change".to_owned(),
        field: "idempotencyKey".to_owned(),
        existing_id: None,
        clashes: Vec::new(),
    }
}
