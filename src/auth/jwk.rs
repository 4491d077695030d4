//! JSON Web Keys and key sets (RFC 7517) that verify signatures.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::Deserialize;
use serde_json::Value;

use super::{
    accepted_tokens::KeysFingerprint,
    key::{InvalidKey, Key},
};

/// The usable keys of a JWKS.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    by_id: HashMap<String, Arc<Key>>,
    /// All keys, for tokens without `kid`.
    keys: Vec<Arc<Key>>,
    /// Identifies the set.
    pub(super) fingerprint: KeysFingerprint,
}

/// Why a set has no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The token's `kid` is not in the set.
    UnknownId,
    /// The token has no `kid`, and no key of the set is for its algorithm.
    NoneFits,
    /// The token has no `kid`, and several keys of the set are for its algorithm.
    SeveralFit,
}

/// Why a document has no usable keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoKeySet {
    #[error("the response is not a JSON Web Key Set")]
    NotAKeySet,
    #[error("the key set is empty: `keys` is []")]
    Empty,
    #[error("none of the {0} keys in the set can verify signatures")]
    NoneUsable(usize),
}

impl KeySet {
    /// Parses a JWKS. Ignores keys with another purpose, invalid keys and weak keys, as RFC 7517 (section 5) requires.
    ///
    /// # Errors
    /// When it is not a JWKS, is empty, or holds no usable key.
    pub(super) fn parse(document: &[u8]) -> Result<Self, NoKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }

        let fingerprint = KeysFingerprint::of(document);
        let document: Document =
            serde_json::from_slice(document).map_err(|_| NoKeySet::NotAKeySet)?;
        let published = document.keys.len();
        if published == 0 {
            return Err(NoKeySet::Empty);
        }
        let mut set = Self {
            fingerprint,
            ..Self::default()
        };
        for (kid, key) in document.keys.into_iter().filter_map(usable) {
            set.keys.push(Arc::clone(&key));
            if let Some(kid) = kid {
                set.by_id.entry(kid).or_insert(key);
            }
        }
        if set.is_empty() {
            return Err(NoKeySet::NoneUsable(published));
        }
        Ok(set)
    }

    /// Finds the key of a token: by its `kid`, or without `kid` the only key for its algorithm.
    ///
    /// # Errors
    /// When no key or several keys match.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Arc<Key>, NoKey> {
        if let Some(kid) = kid {
            return self.by_id.get(kid).ok_or(NoKey::UnknownId);
        }
        let mut fitting = self.keys.iter().filter(|key| key.is_for(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(NoKey::NoneFits),
            (Some(_), Some(_)) => Err(NoKey::SeveralFit),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn usable(jwk: Value) -> Option<(Option<String>, Arc<Key>)> {
    let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
    let key = serde_json::from_value::<Jwk>(jwk)
        .map_err(|_| Unusable::Malformed)
        .and_then(|jwk| jwk.key());
    match key {
        Ok(key) => Some((kid, Arc::new(key))),
        Err(reason) => {
            tracing::debug!(jwk.kid = kid, %reason, "ignoring a published key");
            None
        }
    }
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn key(&self) -> Result<Key, Unusable> {
        if self
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
            || self
                .key_ops
                .as_ref()
                .is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return Err(Unusable::Purpose);
        }
        // A published symmetric key (`oct`) is not a secret, so it is refused like an unknown kind.
        let key = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Key::rsa(
                self.rsa_algorithm()?,
                &bytes(self.n.as_deref())?,
                &bytes(self.e.as_deref())?,
            ),
            ("EC", Some("P-256")) => {
                self.must_be_for(Algorithm::ES256)?;
                // The uncompressed form of SEC 1, section 2.3.3.
                Key::p256(
                    &[
                        &[4][..],
                        &bytes(self.x.as_deref())?,
                        &bytes(self.y.as_deref())?,
                    ]
                    .concat(),
                )
            }
            ("OKP", Some("Ed25519")) => {
                self.must_be_for(Algorithm::EdDSA)?;
                Key::ed25519(&bytes(self.x.as_deref())?)
            }
            _ => return Err(Unusable::Kind),
        };
        Ok(key?)
    }

    /// Returns the algorithm of an RSA key. Defaults to RS256, as all large issuers assume.
    fn rsa_algorithm(&self) -> Result<Algorithm, Unusable> {
        match self.algorithm()? {
            None => Ok(Algorithm::RS256),
            Some(algorithm) if algorithm.family() == AlgorithmFamily::Rsa => Ok(algorithm),
            Some(_) => Err(Unusable::Algorithm),
        }
    }

    fn must_be_for(&self, algorithm: Algorithm) -> Result<(), Unusable> {
        let agrees = self.algorithm()?.is_none_or(|named| named == algorithm);
        agrees.then_some(()).ok_or(Unusable::Algorithm)
    }

    fn algorithm(&self) -> Result<Option<Algorithm>, Unusable> {
        let named = self.alg.as_deref().map(str::parse).transpose();
        named.map_err(|_| Unusable::Algorithm)
    }
}

fn bytes(member: Option<&str>) -> Result<Vec<u8>, Unusable> {
    let text = member.ok_or(Unusable::Malformed)?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Unusable::Malformed)
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("its purpose is not signature verification")]
    Purpose,
    #[error("its kind is not RSA, P-256 or Ed25519")]
    Kind,
    #[error("its algorithm is not supported or does not match its kind")]
    Algorithm,
    #[error("a member is missing or malformed")]
    Malformed,
    #[error(transparent)]
    Invalid(#[from] InvalidKey),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::testing::{claims, ed25519, p256, rsa};

    fn set(keys: &[&Value]) -> Result<KeySet, NoKeySet> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn algorithm(token: &str) -> Algorithm {
        jsonwebtoken::decode_header(token).unwrap().alg
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn why_not(jwk: Value) -> Unusable {
        serde_json::from_value::<Jwk>(jwk)
            .unwrap()
            .key()
            .unwrap_err()
    }

    #[test]
    fn a_set_opens_the_tokens_of_all_its_keys() {
        let signers = [rsa(), p256(), ed25519()];
        let jwks: Vec<_> = signers
            .iter()
            .map(|signer| signer.jwk(signer.kind))
            .collect();
        let set = set(&jwks.iter().collect::<Vec<_>>()).unwrap();
        for signer in signers {
            let token = signer.sign(&claims());
            // By its id, and by its algorithm, which no other key of the set is for.
            for kid in [Some(signer.kind), None] {
                let key = set.find(kid, algorithm(&token)).unwrap();
                assert!(key.open::<Value>(&token).is_ok(), "{} {kid:?}", signer.kind);
            }
        }
        let unknown = set.find(Some("other"), Algorithm::RS256);
        assert_eq!(unknown.unwrap_err(), NoKey::UnknownId);
    }

    #[test]
    fn a_token_without_kid_means_the_only_key_for_its_algorithm() {
        let named = p256().jwk("a");
        let mut nameless = named.clone();
        nameless.as_object_mut().unwrap().remove("kid");
        let of = |keys: &[&Value], kid, algorithm| {
            let set = set(keys).unwrap();
            set.find(kid, algorithm).map(drop)
        };
        assert_eq!(of(&[&named], None, Algorithm::ES256), Ok(()));
        assert_eq!(of(&[&nameless], None, Algorithm::ES256), Ok(()));
        assert_eq!(
            of(&[&nameless, &rsa().jwk("r")], None, Algorithm::ES256),
            Ok(())
        );
        assert_eq!(
            of(&[&nameless], Some("a"), Algorithm::ES256),
            Err(NoKey::UnknownId)
        );
        for algorithm in [Algorithm::RS256, Algorithm::HS256, Algorithm::EdDSA] {
            assert_eq!(of(&[&named], None, algorithm), Err(NoKey::NoneFits));
        }
        let other = crate::auth::testing::new_p256().jwk("b");
        assert_eq!(
            of(&[&named, &other], None, Algorithm::ES256),
            Err(NoKey::SeveralFit)
        );
    }

    #[test]
    fn a_published_secret_is_ignored() {
        let oct =
            json!({"kty": "oct", "kid": "a", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode([7; 32])});
        assert_eq!(why_not(oct.clone()), Unusable::Kind);
        assert_eq!(set(&[&oct]).unwrap_err(), NoKeySet::NoneUsable(1));
        let beside = set(&[&oct, &p256().jwk("b")]).unwrap();
        assert!(beside.find(Some("a"), Algorithm::HS256).is_err());
        assert!(beside.find(None, Algorithm::HS256).is_err());
        assert!(beside.find(Some("b"), Algorithm::ES256).is_ok());
    }

    #[test]
    fn a_key_for_something_else_is_ignored() {
        assert_eq!(
            why_not(with(rsa().jwk("a"), "use", json!("enc"))),
            Unusable::Purpose
        );
        assert_eq!(
            why_not(with(rsa().jwk("a"), "key_ops", json!(["encrypt"]))),
            Unusable::Purpose
        );
        let fit = with(
            with(rsa().jwk("a"), "use", json!("sig")),
            "key_ops",
            json!(["verify"]),
        );
        assert!(set(&[&fit]).is_ok());
    }

    #[test]
    fn a_keys_algorithm_is_honoured() {
        let token = rsa().sign(&claims());
        let named = |alg| with(rsa().jwk("a"), "alg", json!(alg));
        let open = |jwk| {
            set(&[&jwk])
                .unwrap()
                .find(None, Algorithm::RS256)
                .is_ok_and(|key| key.open::<Value>(&token).is_ok())
        };
        assert!(open(rsa().jwk("a")), "defaults to RS256");
        assert!(open(named("RS256")));
        assert!(!open(named("PS256")));
        assert!(!open(named("RS512")));
    }

    #[test]
    fn an_algorithm_that_does_not_fit_the_key_is_ignored() {
        for (jwk, alg) in [
            (rsa().jwk("a"), "HS256"),
            (rsa().jwk("a"), "ES256"),
            (rsa().jwk("a"), "none"),
            (rsa().jwk("a"), "RSA-OAEP"),
            (p256().jwk("a"), "ES384"),
            (p256().jwk("a"), "EdDSA"),
            (ed25519().jwk("a"), "HS256"),
        ] {
            assert_eq!(
                why_not(with(jwk, "alg", json!(alg))),
                Unusable::Algorithm,
                "{alg}"
            );
        }
    }

    #[test]
    fn a_broken_or_weak_key_is_ignored_and_the_others_are_used() {
        let weak = URL_SAFE_NO_PAD.encode([0xff; 128]);
        assert_eq!(
            why_not(with(rsa().jwk("a"), "n", json!(weak))),
            Unusable::Invalid(InvalidKey::RsaSize(1024))
        );
        let off_curve = with(p256().jwk("a"), "x", json!(URL_SAFE_NO_PAD.encode([1; 32])));
        assert_eq!(
            why_not(off_curve),
            Unusable::Invalid(InvalidKey::Unsupported)
        );
        assert_eq!(
            why_not(with(p256().jwk("a"), "y", json!(null))),
            Unusable::Malformed
        );
        assert_eq!(
            why_not(with(p256().jwk("a"), "y", json!("%"))),
            Unusable::Malformed
        );
        assert_eq!(
            why_not(with(p256().jwk("a"), "crv", json!("P-521"))),
            Unusable::Kind
        );
        let good = rsa().jwk("b");
        let set = set(&[&json!(5), &json!({"kid": "a"}), &good]).unwrap();
        assert!(set.find(Some("b"), Algorithm::RS256).is_ok());
    }

    #[test]
    fn a_modulus_with_leading_zeros_is_understood() {
        let n = URL_SAFE_NO_PAD
            .decode(rsa().jwk("a")["n"].as_str().unwrap())
            .unwrap();
        let padded = URL_SAFE_NO_PAD.encode([vec![0], n].concat());
        let set = set(&[&with(rsa().jwk("a"), "n", json!(padded))]).unwrap();
        assert!(
            set.find(None, Algorithm::RS256)
                .unwrap()
                .open::<Value>(&rsa().sign(&claims()))
                .is_ok()
        );
    }

    #[test]
    fn of_two_keys_with_one_id_the_first_counts() {
        let set = set(&[&p256().jwk("a"), &ed25519().jwk("a")]).unwrap();
        assert!(
            set.find(Some("a"), Algorithm::ES256)
                .unwrap()
                .open::<Value>(&p256().sign(&claims()))
                .is_ok()
        );
    }

    #[test]
    fn a_document_that_is_not_a_key_set_is_refused() {
        let refused = |document: &str| KeySet::parse(document.as_bytes()).unwrap_err();
        for document in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(refused(document), NoKeySet::NotAKeySet, "{document}");
        }
        assert_eq!(refused(r#"{"keys":[]}"#), NoKeySet::Empty);
        assert_eq!(refused(r#"{"keys":[{}, 5]}"#), NoKeySet::NoneUsable(2));
    }
}
