//! Where the keys come from that tokens are checked with: one is configured, or a key server publishes them.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Header};

use super::{
    jwks::{Jwks, JwksTiming},
    key::{InvalidKey, Key, check_secret},
    rejection::Rejection,
};

/// Where the key that checks a token comes from.
#[derive(Debug, Clone)]
pub struct Keys(Source);

#[derive(Debug, Clone)]
enum Source {
    Configured(Arc<Key>),
    Served(Arc<Jwks>),
}

impl Keys {
    /// Checks HS256 tokens with a shared secret of at least 32 bytes, taken as they are.
    pub fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        check_secret(secret)?;
        let key = Key::new(Algorithm::HS256, DecodingKey::from_secret(secret));
        Ok(Self(Source::Configured(Arc::new(key))))
    }

    /// Checks tokens with a public key in PEM (`BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`). An RSA key
    /// of 2048 to 8192 bits means RS256, a P-256 key ES256, an Ed25519 key `EdDSA`.
    pub fn pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        Ok(Self(Source::Configured(Arc::new(Key::from_pem(pem)?))))
    }

    /// Checks tokens with the keys that a key server publishes as a JWKS (RFC 7517), and follows them as
    /// they rotate. The address is https, or http on this machine. A proxy that the environment names
    /// is used for it. Starts to fetch at once: call it inside a Tokio runtime.
    pub fn jwks(url: &str, timing: JwksTiming) -> Result<Self, InvalidKey> {
        Ok(Self(Source::Served(Jwks::start(url, timing)?)))
    }

    /// Tells whether any token can be checked: false until a key server has answered once.
    pub fn are_known(&self) -> bool {
        match &self.0 {
            Source::Configured(_) => true,
            Source::Served(jwks) => jwks.has_keys(),
        }
    }

    /// Finds the key that a token's header means, which matters only for keys that are served.
    pub(super) async fn find(&self, token: &Header) -> Result<Arc<Key>, Rejection> {
        match &self.0 {
            Source::Configured(key) => Ok(Arc::clone(key)),
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
    fn a_public_key_is_no_secret() {
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
