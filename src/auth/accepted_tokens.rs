//! [`AcceptedTokens`]: remembers tokens that were verified, so that each later request does not verify the signature again.
//!
//! In the flow: [`Verifier`](super::Verifier) asks it first. It only saves work: what it does not know is verified.
//!
//! **Invariant:** it knows a token only by the SHA-256 digest of its whole text, so it holds no credential, and a token that
//! differs in one bit is another token.
//! **Invariant:** a token is accepted only while the keys are those that verified it, and only between its `nbf` and its
//! `exp`. A sign-out is not its concern: that is checked in the database with each request.
//! **Invariant:** at most [`MOST`] tokens are remembered. Each takes at most about 500 bytes, for any length of the token.

use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;
use parking_lot::Mutex;
use time::OffsetDateTime;

use super::token::Grant;

/// Maximum number of remembered tokens. The least recently used one is forgotten first.
const MOST: usize = 16_384;

/// The SHA-256 digest of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(sha256(token.as_bytes()))
    }
}

/// Identifies a set of keys: equal sets have equal fingerprints. Configured keys never change and have the default one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KeysFingerprint([u8; 32]);

impl KeysFingerprint {
    /// Returns the fingerprint of the keys in a JWKS document.
    pub(super) fn of(document: &[u8]) -> Self {
        Self(sha256(document))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The tokens that the current keys have verified.
#[derive(Debug)]
pub(super) struct AcceptedTokens(Mutex<Accepted>);

#[derive(Debug)]
struct Accepted {
    /// The keys that verified all of `grants`.
    keys: KeysFingerprint,
    grants: LruCache<TokenDigest, Grant>,
}

impl AcceptedTokens {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Accepted {
            keys: KeysFingerprint::default(),
            // A bounded one reserves memory for all entries when it is made.
            grants: LruCache::unbounded(),
        }))
    }

    /// Returns what a token grants, if `keys` have verified it and it is valid at `now`. Forgets all tokens if the keys are
    /// others than before.
    pub(super) fn find(
        &self,
        token: &TokenDigest,
        keys: KeysFingerprint,
        now: OffsetDateTime,
    ) -> Option<Grant> {
        let mut accepted = self.0.lock();
        accepted.use_keys(keys);
        let grant = accepted.grants.get(token)?;
        if grant.check(now).is_ok() {
            return Some(grant.clone());
        }
        accepted.grants.pop(token);
        None
    }

    /// Remembers a token that `keys` have verified. Ignores it if other keys are in use meanwhile.
    pub(super) fn remember(&self, token: TokenDigest, keys: KeysFingerprint, grant: Grant) {
        let mut accepted = self.0.lock();
        if accepted.keys != keys {
            return;
        }
        accepted.grants.put(token, grant);
        if accepted.grants.len() > MOST {
            accepted.grants.pop_lru();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().grants.len()
    }
}

impl Accepted {
    fn use_keys(&mut self, keys: KeysFingerprint) {
        if self.keys != keys {
            self.grants.clear();
            self.keys = keys;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::auth::token::Rules;

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(second).unwrap()
    }

    fn grant(claims: Value) -> Grant {
        let rules = Rules {
            leeway: Duration::from_secs(5),
            ..Rules::default()
        };
        let claims = serde_json::from_value(claims).unwrap();
        rules.validate(&claims, at(NOW)).unwrap()
    }

    fn of_ada() -> Grant {
        grant(json!({"sub": "ada", "exp": NOW + 60, "nbf": NOW}))
    }

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let (accepted, token, keys) = (
            AcceptedTokens::new(),
            TokenDigest::of("a"),
            KeysFingerprint::default(),
        );
        accepted.remember(token, keys, of_ada());
        let found = |second| accepted.find(&token, keys, at(second)).is_some();
        assert!(found(NOW) && found(NOW + 64));
        assert!(!found(NOW + 65), "the leeway is 5 s");
        assert_eq!(accepted.len(), 0, "it is forgotten");
    }

    #[test]
    fn a_token_is_not_accepted_before_it_is_valid_after_the_clock_was_set_back() {
        let (accepted, token, keys) = (
            AcceptedTokens::new(),
            TokenDigest::of("a"),
            KeysFingerprint::default(),
        );
        accepted.remember(token, keys, of_ada());
        assert_eq!(accepted.find(&token, keys, at(NOW - 6)), None);
    }

    #[test]
    fn other_keys_accept_no_remembered_token() {
        let [old, new] = [b"old", b"new"].map(|document| KeysFingerprint::of(document));
        let (accepted, token) = (AcceptedTokens::new(), TokenDigest::of("a"));
        assert_eq!(accepted.find(&token, old, at(NOW)), None);
        accepted.remember(token, old, of_ada());
        assert!(accepted.find(&token, old, at(NOW)).is_some());
        assert_eq!(accepted.find(&token, new, at(NOW)), None);
        assert_eq!(accepted.len(), 0, "nothing of the old keys is kept");
        // A verification that began before the rotation ends after it.
        accepted.remember(token, old, of_ada());
        assert_eq!(accepted.find(&token, new, at(NOW)), None);
        assert_eq!(accepted.find(&token, old, at(NOW)), None);
    }

    #[test]
    fn the_number_of_remembered_tokens_is_bounded() {
        let (accepted, keys) = (AcceptedTokens::new(), KeysFingerprint::default());
        let token = |n: usize| TokenDigest::of(&n.to_string());
        for n in 0..MOST + 100 {
            accepted.remember(token(n), keys, of_ada());
            assert!(
                accepted.find(&token(0), keys, at(NOW)).is_some(),
                "it is in use"
            );
        }
        assert_eq!(accepted.len(), MOST);
        assert_eq!(accepted.find(&token(1), keys, at(NOW)), None);
        assert!(accepted.find(&token(MOST), keys, at(NOW)).is_some());
    }
}
