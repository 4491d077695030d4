//! VAPID: identifies this server to push services (RFC 8292).
//!
//! **Invariant:** one token per push service is signed and reused, because push services cache the verification of a
//! token, and some refuse a token for each message.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lru::LruCache;
use parking_lot::Mutex;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::Serialize;
use url::{Host, Url};

/// Lifetime of a token. RFC 8292 allows 24 hours; clocks may differ.
const TOKEN_LIFE: Duration = Duration::from_hours(12);

/// Remaining lifetime at which a token is replaced.
const TOKEN_MARGIN: Duration = Duration::from_hours(1);

/// Number of push services whose tokens are cached. Users choose the push services.
const CACHED_TOKENS: usize = 1_000;

/// Why a VAPID key or subject is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVapid {
    /// Not a private key of P-256.
    #[error(
        "must be a private key of P-256 in PEM (PKCS #8 or SEC 1); `library-sync vapid` makes one"
    )]
    Key,
    /// Not an address that push services accept.
    #[error(
        "must be an address at which the operators of push services can reach you, such as mailto:admin@example.org or \
         https://example.org/contact"
    )]
    Subject,
}

/// The key and the contact address that identify this server. `Debug` shows the contact address only.
pub struct Vapid {
    key: EncodingKey,
    public: String,
    subject: String,
    tokens: Mutex<LruCache<String, Token>>,
}

struct Token {
    text: String,
    expires_at: u64,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: u64,
    sub: &'a str,
}

impl Vapid {
    /// Reads a private key in PEM. `subject` is a `mailto:` or `https:` URL.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub fn new(pem: &[u8], subject: &str) -> Result<Self, InvalidVapid> {
        if !is_contact(subject) {
            return Err(InvalidVapid::Subject);
        }
        let pair = key_pair(pem).ok_or(InvalidVapid::Key)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| InvalidVapid::Key)?;
        Ok(Self {
            key: EncodingKey::from_ec_der(pkcs8.as_ref()),
            public: BASE64_URL_SAFE_NO_PAD.encode(pair.public_key()),
            subject: subject.to_owned(),
            tokens: Mutex::new(LruCache::unbounded()),
        })
    }

    /// Returns the public key in base64url: the `applicationServerKey` of subscriptions.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// Returns the value of `Authorization` for a push service (RFC 8292, section 3).
    ///
    /// # Errors
    /// When the token cannot be signed.
    pub(super) fn authorization(
        &self,
        service: &Url,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let audience = service.origin().ascii_serialization();
        let now = unix_seconds();
        let mut tokens = self.tokens.lock();
        if let Some(token) = tokens.get(&audience)
            && token.expires_at > now + TOKEN_MARGIN.as_secs()
        {
            return Ok(self.header(&token.text));
        }
        let expires_at = now + TOKEN_LIFE.as_secs();
        let claims = Claims {
            aud: &audience,
            exp: expires_at,
            sub: &self.subject,
        };
        let text = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)?;
        let header = self.header(&text);
        tokens.put(audience, Token { text, expires_at });
        if tokens.len() > CACHED_TOKENS {
            tokens.pop_lru();
        }
        Ok(header)
    }

    fn header(&self, token: &str) -> String {
        format!("vapid t={token}, k={}", self.public)
    }
}

impl fmt::Debug for Vapid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vapid")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// Returns a new private key in PEM (PKCS #8).
///
/// # Errors
/// When the system has no random bytes.
pub fn new_key() -> Result<String, aws_lc_rs::error::Unspecified> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let text = BASE64_STANDARD.encode(pair.to_pkcs8v1()?);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    Ok(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    ))
}

fn key_pair(pem: &[u8]) -> Option<EcdsaKeyPair> {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = PrivateKeyDer::from_pem_slice(pem).ok()?;
    let pair = match &der {
        PrivateKeyDer::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(algorithm, der.secret_pkcs8_der()),
        der => EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der()),
    };
    pair.ok()
}

/// Returns whether push services accept the address. Apple refuses localhost and white space with 403.
fn is_contact(subject: &str) -> bool {
    if subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let is_public = |host: &str| {
        host.contains('.') && !host.starts_with('.') && !host.ends_with('.') && host != "127.0.0.1"
    };
    if let Some(address) = subject.strip_prefix("mailto:") {
        let parts = address.rsplit_once('@');
        return parts.is_some_and(|(name, host)| !name.is_empty() && is_public(host));
    }
    let url = Url::parse(subject)
        .ok()
        .filter(|url| url.scheme() == "https");
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(host)) => is_public(host),
        _ => false,
    }
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    const SUBJECT: &str = "mailto:admin@example.org";

    fn vapid() -> Vapid {
        Vapid::new(new_key().unwrap().as_bytes(), SUBJECT).unwrap()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_signed_for_the_origin_of_the_push_service() {
        let vapid = vapid();
        let header = vapid
            .authorization(&url("https://push.example.org:8443/wpush/v2/abc"))
            .unwrap();
        let (token, key) = header
            .strip_prefix("vapid t=")
            .and_then(|rest| rest.split_once(", k="))
            .unwrap();
        assert_eq!(key, vapid.public_key());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key))
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
        let (_, claims) = signed.split_once('.').unwrap();
        let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        assert_eq!(claims["aud"], "https://push.example.org:8443");
        assert_eq!(claims["sub"], SUBJECT);
        let left = claims["exp"].as_u64().unwrap() - unix_seconds();
        assert!((TOKEN_LIFE.as_secs() - 60..=TOKEN_LIFE.as_secs()).contains(&left));
    }

    #[test]
    fn a_token_is_reused_for_its_origin_only() {
        let vapid = vapid();
        let authorization = |text: &str| vapid.authorization(&url(text)).unwrap();
        let first = authorization("https://a.example/1");
        assert_eq!(first, authorization("https://a.example/2"));
        assert_ne!(first, authorization("https://b.example/1"));
        for n in 0..=CACHED_TOKENS {
            authorization(&format!("https://{n}.example/"));
        }
        assert_eq!(vapid.tokens.lock().len(), CACHED_TOKENS);
    }

    #[test]
    fn a_key_other_than_of_p_256_is_refused() {
        for pem in [
            "",
            "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----",
        ] {
            let invalid = Vapid::new(pem.as_bytes(), SUBJECT);
            assert_eq!(invalid.unwrap_err(), InvalidVapid::Key);
        }
    }

    #[test]
    fn a_subject_that_a_push_service_refuses_is_refused() {
        let key = new_key().unwrap();
        for subject in [
            "",
            "admin@example.org",
            "mailto:",
            "mailto:admin",
            "mailto:@example.org",
            "mailto:admin@localhost",
            "mailto: admin@example.org",
            "http://example.org",
            "https://localhost",
            "https://127.0.0.1",
            "https://[::1]",
        ] {
            let invalid = Vapid::new(key.as_bytes(), subject).unwrap_err();
            assert_eq!(invalid, InvalidVapid::Subject, "{subject}");
        }
        for subject in [
            SUBJECT,
            "https://example.org",
            "https://example.org/contact",
        ] {
            assert!(Vapid::new(key.as_bytes(), subject).is_ok(), "{subject}");
        }
    }
}
