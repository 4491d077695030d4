//! [`Keys`]: the keys that verify tokens, configured or published by a key server.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Header};

use super::{
    accepted_tokens::KeysFingerprint,
    jwks::{Jwks, JwksTiming},
    key::{InvalidKey, Key, check_secret},
    rejection::Rejection,
};

/// The source of the keys that verify tokens.
#[derive(Debug, Clone)]
pub struct Keys(Source);

#[derive(Debug, Clone)]
enum Source {
    Absent,
    Configured(Arc<Key>),
    Served(Arc<Jwks>),
}

impl Keys {
    /// Accepts no token, for a server that only accepts session cookies of Auth.js.
    pub fn none() -> Self {
        Self(Source::Absent)
    }

    /// Verifies HS256 tokens with a shared secret of at least 32 raw bytes.
    pub fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        check_secret(secret)?;
        let key = Key::new(Algorithm::HS256, DecodingKey::from_secret(secret));
        Ok(Self(Source::Configured(Arc::new(key))))
    }

    /// Verifies tokens with a public key in PEM (`BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`): RS256 with an RSA key of
    /// 2048 to 8192 bits, ES256 with a P-256 key, `EdDSA` with an Ed25519 key.
    pub fn pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        Ok(Self(Source::Configured(Arc::new(Key::from_pem(pem)?))))
    }

    /// Verifies tokens with the keys that a key server publishes as a JWKS (RFC 7517), including key rotation. The URL must be
    /// https, except on localhost. Uses the proxy of the environment. Starts the first fetch, so it needs a Tokio runtime.
    pub fn jwks(url: &str, timing: JwksTiming) -> Result<Self, InvalidKey> {
        Ok(Self(Source::Served(Jwks::start(url, timing)?)))
    }

    /// Returns whether tokens can be verified: false until the first successful fetch from a key server.
    pub fn are_known(&self) -> bool {
        match &self.0 {
            Source::Absent | Source::Configured(_) => true,
            Source::Served(jwks) => jwks.has_keys(),
        }
    }

    /// Identifies the current keys.
    pub(super) fn fingerprint(&self) -> KeysFingerprint {
        match &self.0 {
            Source::Absent | Source::Configured(_) => KeysFingerprint::default(),
            Source::Served(jwks) => jwks.fingerprint(),
        }
    }

    /// Finds the key for a token's header, and identifies the keys that it is one of. A configured key matches every header.
    pub(super) async fn find(
        &self,
        token: &Header,
    ) -> Result<(Arc<Key>, KeysFingerprint), Rejection> {
        match &self.0 {
            Source::Absent => Err(Rejection::Untrusted),
            Source::Configured(key) => Ok((Arc::clone(key), KeysFingerprint::default())),
            Source::Served(jwks) => jwks.find(token.kid.as_deref(), token.alg).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::{SECRET, rsa};

    #[test]
    fn a_secret_has_at_least_32_bytes() {
        assert!(Keys::secret(SECRET).is_ok());
        assert!(Keys::secret(&[0; 32]).is_ok());
        for bytes in [0, 1, 31] {
            let error = Keys::secret(&vec![b'x'; bytes]).unwrap_err();
            assert_eq!(error, InvalidKey::ShortSecret(bytes));
            assert!(error.to_string().contains("at least 32"), "{error}");
        }
    }

    #[test]
    fn a_public_key_is_refused_as_a_secret() {
        let error = Keys::secret(rsa().public_pem.as_bytes()).unwrap_err();
        assert_eq!(error, InvalidKey::PemAsSecret);
    }

    #[test]
    fn a_key_is_not_printed() {
        let printed = format!("{:?}", Keys::secret(SECRET).unwrap());
        assert!(printed.contains("redacted"), "{printed}");
        assert!(
            !printed.contains(std::str::from_utf8(SECRET).unwrap()),
            "{printed}"
        );
    }
}
