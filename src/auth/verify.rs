//! [`Verifier`]: finds the key of a token, verifies the signature and validates the claims.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    Rules,
    accepted_tokens::{AcceptedTokens, KeysFingerprint, TokenDigest},
    bearer::MAX_TOKEN_BYTES,
    keys::Keys,
    rejection::Rejection,
    token::Claims,
    viewer::{Credential, Viewer},
};
use crate::version::UserId;

/// Verifies tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Keys,
    rules: Arc<Rules>,
    accepted: Arc<AcceptedTokens>,
}

impl Verifier {
    /// Creates a verifier of tokens that one of the keys has signed and that satisfy the rules.
    pub fn new(keys: Keys, rules: Rules) -> Self {
        Self {
            keys,
            rules: Arc::new(rules),
            accepted: Arc::new(AcceptedTokens::new()),
        }
    }

    /// Returns whether tokens can be verified: false until the first successful fetch from a key server.
    pub fn is_ready(&self) -> bool {
        self.keys.are_known()
    }

    /// Verifies a token and returns its viewer. Waits only for a fetch of an unknown key from a key server.
    pub async fn verify(&self, token: &str, credential: Credential) -> Result<Viewer, Rejection> {
        check_size(token)?;
        let digest = TokenDigest::of(token);
        let now = OffsetDateTime::now_utc();
        if let Some(grant) = self.accepted.find(&digest, self.keys.fingerprint(), now) {
            return Ok(grant.viewer(credential));
        }
        let (claims, keys) = self.claims(token).await?;
        let grant = self.rules.validate(&claims, OffsetDateTime::now_utc())?;
        self.accepted.remember(digest, keys, grant.clone());
        Ok(grant.viewer(credential))
    }

    /// Returns the user of a token whose signature is valid and that has expired.
    pub async fn user_of_expired(&self, token: &str) -> Option<UserId> {
        check_size(token).ok()?;
        let (claims, _) = self.claims(token).await.ok()?;
        let verdict = self.rules.validate(&claims, OffsetDateTime::now_utc());
        (verdict == Err(Rejection::Expired)).then(|| claims.user())?
    }

    /// Verifies the signature of a token. Returns its claims, and the keys that verified it.
    async fn claims(&self, token: &str) -> Result<(Claims, KeysFingerprint), Rejection> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Rejection::Malformed)?;
        // `crit` lists extensions that must be supported (RFC 7515, section 4.1.11). None is.
        if header.crit.is_some() {
            return Err(Rejection::Untrusted);
        }
        let (key, keys) = self.keys.find(&header).await?;
        Ok((key.open(token)?, keys))
    }
}

fn check_size(token: &str) -> Result<(), Rejection> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Rejection::TooLong);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::{
        mint,
        testing::{SECRET, Signer, claims, ed25519, hs256, new_p256, p256, rsa},
    };

    fn trusting(keys: Keys) -> Verifier {
        Verifier::new(keys, Rules::default())
    }

    fn trusting_secret() -> Verifier {
        trusting(Keys::secret(SECRET).unwrap())
    }

    fn trusting_public(signer: &Signer) -> Verifier {
        trusting(Keys::pem(signer.public_pem.as_bytes()).unwrap())
    }

    async fn verdict(verifier: &Verifier, token: &str) -> Result<Viewer, Rejection> {
        verifier.verify(token, Credential::Bearer).await
    }

    /// A token of any header and claims, signed by `sign`.
    fn raw(header: &Value, claims: &Value, sign: impl FnOnce(&str) -> String) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = sign(&message);
        format!("{message}.{signature}")
    }

    fn hmac(secret: &[u8]) -> impl Fn(&str) -> String {
        let key = EncodingKey::from_secret(secret);
        move |message| {
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap()
        }
    }

    #[tokio::test]
    async fn a_minted_token_is_accepted_by_the_same_rules() {
        let rules = Rules {
            issuer: Some("https://id.example".into()),
            audience: Some("library".into()),
            ..Rules::default()
        };
        let ada = UserId::new("ada").unwrap();
        let token = mint(SECRET, &rules, &ada, Duration::from_mins(1)).unwrap();
        let verifier = Verifier::new(Keys::secret(SECRET).unwrap(), rules);
        assert!(verifier.is_ready());
        for credential in [Credential::Bearer, Credential::Cookie] {
            let viewer = verifier.verify(&token, credential).await.unwrap();
            assert_eq!((viewer.user, viewer.credential), (ada.clone(), credential));
        }
    }

    #[tokio::test]
    async fn each_kind_of_public_key_verifies_its_tokens() {
        for signer in [rsa(), p256(), ed25519()] {
            let viewer = verdict(&trusting_public(signer), &signer.sign(&claims())).await;
            assert_eq!(
                viewer.map(|v| v.user.to_string()),
                Ok("ada".into()),
                "{}",
                signer.kind
            );
        }
    }

    #[tokio::test]
    async fn a_forged_token_is_refused() {
        let foreign = new_p256().sign(&claims());
        assert_eq!(
            verdict(&trusting_public(p256()), &foreign).await,
            Err(Rejection::Untrusted)
        );
        let guessed = raw(&json!({"alg": "HS256"}), &claims(), hmac(&[b'x'; 32]));
        assert_eq!(
            verdict(&trusting_secret(), &guessed).await,
            Err(Rejection::Untrusted)
        );
    }

    #[tokio::test]
    async fn a_token_with_one_part_of_another_is_refused() {
        let token = hs256().sign(&claims());
        let other = hs256().sign(&json!({"sub": "eve", "exp": 9_999_999_999_u64}));
        let [a, b]: [Vec<&str>; 2] = [&token, &other].map(|token| token.split('.').collect());
        for mixed in [[b[0], b[1], a[2]], [a[0], b[1], a[2]], [a[0], a[1], b[2]]] {
            let verdict = verdict(&trusting_secret(), &mixed.join(".")).await;
            assert_eq!(verdict, Err(Rejection::Untrusted));
        }
    }

    #[tokio::test]
    async fn a_public_key_cannot_be_used_as_a_secret() {
        for signer in [rsa(), p256(), ed25519()] {
            let forged = raw(
                &json!({"alg": "HS256"}),
                &claims(),
                hmac(signer.public_pem.as_bytes()),
            );
            let verdict = verdict(&trusting_public(signer), &forged).await;
            assert_eq!(verdict, Err(Rejection::Untrusted), "{}", signer.kind);
        }
    }

    #[tokio::test]
    async fn the_header_cannot_choose_another_algorithm() {
        for alg in ["RS256", "ES256", "EdDSA", "HS384", "HS512"] {
            let relabelled = raw(&json!({"alg": alg}), &claims(), hmac(SECRET));
            assert_eq!(
                verdict(&trusting_secret(), &relabelled).await,
                Err(Rejection::Untrusted),
                "{alg}"
            );
        }
        let pss = rsa().sign_with(&Header::new(Algorithm::PS256), &claims());
        assert_eq!(
            verdict(&trusting_public(rsa()), &pss).await,
            Err(Rejection::Untrusted)
        );
        let rsa_for_hmac = rsa().sign(&claims());
        assert_eq!(
            verdict(&trusting_secret(), &rsa_for_hmac).await,
            Err(Rejection::Untrusted)
        );
    }

    #[tokio::test]
    async fn the_algorithm_none_is_refused() {
        for alg in ["none", "None", "NONE", "", "hs256"] {
            for signature in ["", "AAAA"] {
                let token = raw(&json!({"alg": alg}), &claims(), |_| signature.into());
                assert!(
                    verdict(&trusting_secret(), &token).await.is_err(),
                    "{alg:?}"
                );
                assert!(
                    verdict(&trusting_public(rsa()), &token).await.is_err(),
                    "{alg:?}"
                );
            }
        }
        let stripped = raw(&json!({"alg": "HS256"}), &claims(), |_| String::new());
        assert_eq!(
            verdict(&trusting_secret(), &stripped).await,
            Err(Rejection::Untrusted)
        );
    }

    #[tokio::test]
    async fn a_key_in_the_header_is_ignored() {
        let stranger = new_p256();
        let header = Header {
            jwk: Some(serde_json::from_value(stranger.jwk("a")).unwrap()),
            jku: Some("https://evil.example/keys".into()),
            ..Header::new(Algorithm::ES256)
        };
        let token = stranger.sign_with(&header, &claims());
        assert_eq!(
            verdict(&trusting_public(p256()), &token).await,
            Err(Rejection::Untrusted)
        );
    }

    #[tokio::test]
    async fn a_critical_extension_is_refused() {
        let header = Header {
            crit: Some(vec!["b64".into()]),
            ..Header::new(Algorithm::HS256)
        };
        let token = hs256().sign_with(&header, &claims());
        assert_eq!(
            verdict(&trusting_secret(), &token).await,
            Err(Rejection::Untrusted)
        );
    }

    #[tokio::test]
    async fn an_invalid_token_is_malformed() {
        let good = hs256().sign(&claims());
        for token in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "é.é.é",
            &format!("{good}.x"),
        ] {
            assert_eq!(
                verdict(&trusting_secret(), token).await,
                Err(Rejection::Malformed),
                "{token:?}"
            );
        }
        for wrong in [
            json!([]),
            json!({"exp": "soon"}),
            json!({"sub": 5, "exp": 9_999_999_999_u64}),
        ] {
            let token = hs256().sign(&wrong);
            assert_eq!(
                verdict(&trusting_secret(), &token).await,
                Err(Rejection::Malformed),
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_over_the_size_limit_is_refused() {
        let with_padding = |bytes: usize| {
            let mut claims = claims();
            claims["pad"] = json!("x".repeat(bytes));
            hs256().sign(&claims)
        };
        assert!(
            verdict(&trusting_secret(), &with_padding(5000))
                .await
                .is_ok()
        );
        assert_eq!(
            verdict(&trusting_secret(), &with_padding(7000)).await,
            Err(Rejection::TooLong)
        );
    }

    #[tokio::test]
    async fn a_remembered_token_is_accepted_only_as_a_whole() {
        let verifier = trusting_secret();
        let token = hs256().sign(&claims());
        let seen = verdict(&verifier, &token).await.unwrap();
        assert_eq!(verdict(&verifier, &token).await, Ok(seen), "remembered");
        assert_eq!(verifier.accepted.len(), 1);
        for bit in 0..token.len() * 8 {
            let mut bytes = token.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(other) = String::from_utf8(bytes) else {
                continue;
            };
            let fresh = verdict(&trusting_secret(), &other).await;
            assert!(fresh.is_err(), "bit {bit}");
            assert_eq!(verdict(&verifier, &other).await, fresh, "bit {bit}");
        }
        assert_eq!(verifier.accepted.len(), 1, "refused tokens are not kept");
    }

    #[tokio::test]
    async fn a_remembered_token_says_how_it_was_sent() {
        let (verifier, token) = (trusting_secret(), hs256().sign(&claims()));
        for credential in [Credential::Bearer, Credential::Cookie, Credential::Bearer] {
            let viewer = verifier.verify(&token, credential).await.unwrap();
            assert_eq!(viewer.credential, credential);
        }
    }

    #[tokio::test]
    async fn a_remembered_token_expires() {
        let exact = Rules {
            leeway: Duration::ZERO,
            ..Rules::default()
        };
        let verifier = Verifier::new(Keys::secret(SECRET).unwrap(), exact);
        let end = OffsetDateTime::now_utc().unix_timestamp() + 2;
        let token = hs256().sign(&json!({"sub": "ada", "exp": end}));
        let first = verdict(&verifier, &token).await;
        assert!(first.is_ok());
        assert_eq!(verdict(&verifier, &token).await, first, "remembered");
        while OffsetDateTime::now_utc().unix_timestamp() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(verdict(&verifier, &token).await, Err(Rejection::Expired));
    }

    #[tokio::test]
    async fn an_expired_token_names_its_user_only_if_it_is_genuine() {
        let expired = json!({"sub": "ada", "exp": 1});
        let user = |token: String| async move { trusting_secret().user_of_expired(&token).await };
        let genuine = user(hs256().sign(&expired)).await;
        assert_eq!(genuine.unwrap().as_str(), "ada");
        let forged = raw(&json!({"alg": "HS256"}), &expired, hmac(&[b'x'; 32]));
        assert_eq!(user(forged).await, None);
        assert_eq!(user(hs256().sign(&claims())).await, None, "it is valid");
    }

    #[tokio::test]
    async fn an_error_reveals_no_claims_of_a_forged_token() {
        let expired = json!({"sub": "ada", "exp": 1});
        let forged = raw(&json!({"alg": "HS256"}), &expired, hmac(&[b'x'; 32]));
        assert_eq!(
            verdict(&trusting_secret(), &forged).await,
            Err(Rejection::Untrusted)
        );
        let garbled = raw(
            &json!({"alg": "HS256"}),
            &json!("no claims"),
            hmac(&[b'x'; 32]),
        );
        assert_eq!(
            verdict(&trusting_secret(), &garbled).await,
            Err(Rejection::Untrusted)
        );
        let genuine = hs256().sign(&expired);
        assert_eq!(
            verdict(&trusting_secret(), &genuine).await,
            Err(Rejection::Expired)
        );
    }
}
