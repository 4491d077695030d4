//! [`AuthjsSessions`]: the session cookies of an Auth.js v5 app, which hold an encrypted token.
//!
//! The token is a JWE (RFC 7516) with `alg: dir` and `enc: A256CBC-HS512` (RFC 7518, sections 4.5 and 5.2). Its key is
//! derived from the app's secret and the name of the cookie. `jsonwebtoken` does not support JWE.
//!
//! **Invariant:** the tag is compared in constant time before anything is decrypted, so errors reveal nothing about
//! unverified claims.
//!
//! **Invariant:** the header selects one of the configured keys, and nothing else.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    constant_time::verify_slices_are_equal,
    digest,
    error::Unspecified,
    hkdf, hmac,
    iv::FixedLength,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    Rules,
    cookie::find_chunked_cookie,
    rejection::Rejection,
    token::Claims,
    viewer::{Credential, Viewer},
};
use crate::version::UserId;

/// Names of the session cookie, in order of precedence. Over plain http, another site of the same host can set the
/// second one, but not the first.
pub const AUTHJS_COOKIES: [&str; 2] = ["__Secure-authjs.session-token", "authjs.session-token"];
/// Maximum size of a session token, in bytes: the limit of Node.js for all headers of a request.
const MAX_SESSION_BYTES: usize = 16 << 10;
/// Tolerated clock skew between the app and this server, the same as in Auth.js.
const LEEWAY: Duration = Duration::from_secs(15);
/// Size of each half of a content encryption key: the MAC key, then the AES key, in bytes.
const HALF_KEY: usize = 32;
/// Size of the authentication tag, in bytes.
const TAG: usize = 32;

/// Verifies the session cookies of one app. Cheap to clone.
#[derive(Clone)]
pub struct AuthjsSessions(Arc<[SessionCookie; 2]>);

/// The keys of one cookie name, newest first.
struct SessionCookie {
    name: &'static str,
    keys: Vec<SessionKey>,
}

struct SessionKey {
    /// The thumbprint of the key (RFC 7638, with SHA-512), which Auth.js writes into the header as `kid`.
    id: String,
    mac: hmac::Key,
    cipher: PaddedBlockDecryptingKey,
}

/// A session token that a request carries, and the keys that can open it.
pub struct AuthjsSession<'s> {
    token: Cow<'s, [u8]>,
    cookie: &'s SessionCookie,
}

impl AuthjsSessions {
    /// Creates a verifier for sessions that are encrypted with one of the secrets. The newest secret comes first.
    ///
    /// # Errors
    /// When the list or one of the secrets is empty.
    pub fn new(secrets: &[&str]) -> Result<Self, InvalidAuthjsSecret> {
        if secrets.is_empty() || secrets.contains(&"") {
            return Err(InvalidAuthjsSecret);
        }
        let cookie = |name: &'static str| SessionCookie {
            name,
            keys: secrets
                .iter()
                .map(|secret| SessionKey::derive(secret, name))
                .collect(),
        };
        Ok(Self(Arc::new(AUTHJS_COOKIES.map(cookie))))
    }

    /// Finds the session token in a request's `Cookie` headers. Does not verify it.
    pub fn find<'r>(&'r self, headers: &[&'r [u8]]) -> Option<AuthjsSession<'r>> {
        self.0.iter().find_map(|cookie| {
            let token = find_chunked_cookie(headers, cookie.name)?;
            Some(AuthjsSession { token, cookie })
        })
    }
}

impl fmt::Debug for AuthjsSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl AuthjsSession<'_> {
    /// Verifies the session and returns its viewer.
    ///
    /// # Errors
    /// When the token is malformed, expired, or encrypted with another key.
    pub fn verify(&self) -> Result<Viewer, Rejection> {
        self.verify_at(OffsetDateTime::now_utc())
    }

    /// Returns the user of a genuine session that has expired.
    pub fn user_of_expired(&self) -> Option<UserId> {
        let claims = self.claims().ok()?;
        let is_expired = self.verify() == Err(Rejection::Expired);
        is_expired.then(|| claims.user())?
    }

    fn verify_at(&self, now: OffsetDateTime) -> Result<Viewer, Rejection> {
        let rules = Rules {
            leeway: LEEWAY,
            ..Rules::default()
        };
        let grant = rules.validate(&self.claims()?, now)?;
        Ok(grant.viewer(Credential::Cookie))
    }

    fn claims(&self) -> Result<Claims, Rejection> {
        if self.token.len() > MAX_SESSION_BYTES {
            return Err(Rejection::SessionTooLong);
        }
        let token = std::str::from_utf8(&self.token).map_err(|_| Rejection::Malformed)?;
        let jwe = Jwe::parse(token).ok_or(Rejection::Malformed)?;
        let key = self.cookie.find_key(&jwe.header()?)?;
        let claims = key.open(jwe)?;
        serde_json::from_slice(&claims).map_err(|_| Rejection::Malformed)
    }
}

impl SessionCookie {
    /// Finds the key that a header names. Without `kid` the newest key counts, as in Auth.js.
    fn find_key(&self, header: &Header) -> Result<&SessionKey, Rejection> {
        let is_supported = header.alg == "dir"
            && header.enc == "A256CBC-HS512"
            && header.zip.is_none()
            && header.crit.is_none();
        let key = match &header.kid {
            _ if !is_supported => None,
            Some(kid) => self.keys.iter().find(|key| key.id == *kid),
            None => self.keys.first(),
        };
        key.ok_or(Rejection::Untrusted)
    }
}

impl SessionKey {
    #[expect(
        clippy::expect_used,
        reason = "the lengths of keys and output are constants that the algorithms accept"
    )]
    fn derive(secret: &str, cookie: &str) -> Self {
        let key = derived_key(secret, cookie).expect("derives 64 bytes");
        let (mac, cipher) = key.split_at(HALF_KEY);
        let cipher = UnboundCipherKey::new(&AES_256, cipher)
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .expect("accepts 32 bytes");
        let jwk = format!(r#"{{"k":"{}","kty":"oct"}}"#, URL_SAFE_NO_PAD.encode(key));
        let thumbprint = digest::digest(&digest::SHA512, jwk.as_bytes());
        Self {
            id: URL_SAFE_NO_PAD.encode(thumbprint),
            mac: hmac::Key::new(hmac::HMAC_SHA512, mac),
            cipher,
        }
    }

    /// Verifies the tag, then decrypts.
    fn open(&self, jwe: Jwe<'_>) -> Result<Vec<u8>, Rejection> {
        let Jwe {
            header,
            iv,
            mut ciphertext,
            tag,
        } = jwe;
        let header_bits = u64::try_from(header.len() * 8).unwrap_or(u64::MAX);
        let mut mac = hmac::Context::with_key(&self.mac);
        mac.update(header.as_bytes());
        mac.update(&iv);
        mac.update(&ciphertext);
        mac.update(&header_bits.to_be_bytes());
        let untrusted = |_: Unspecified| Rejection::Untrusted;
        verify_slices_are_equal(&mac.sign().as_ref()[..TAG], &tag).map_err(untrusted)?;
        let iv = DecryptionContext::Iv128(FixedLength::from(iv));
        let plain = self.cipher.decrypt(&mut ciphertext, iv);
        Ok(plain.map_err(untrusted)?.to_vec())
    }
}

/// Derives the content encryption key (HKDF, RFC 5869) as Auth.js does.
fn derived_key(secret: &str, cookie: &str) -> Result<[u8; 2 * HALF_KEY], Unspecified> {
    let info = format!("Auth.js Generated Encryption Key ({cookie})");
    let mut key = [0; 2 * HALF_KEY];
    hkdf::Salt::new(hkdf::HKDF_SHA256, cookie.as_bytes())
        .extract(secret.as_bytes())
        .expand(&[info.as_bytes()], KeyLength)?
        .fill(&mut key)?;
    Ok(key)
}

/// The length of a derived key.
struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        2 * HALF_KEY
    }
}

/// The parts of a JWE in compact form (RFC 7516, section 7.1).
struct Jwe<'t> {
    /// As sent, in base64url: the additional authenticated data.
    header: &'t str,
    iv: [u8; 16],
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

impl<'t> Jwe<'t> {
    fn parse(token: &'t str) -> Option<Self> {
        let parts: Vec<_> = token.split('.').collect();
        // With `dir`, the encrypted key is empty.
        let [header, "", iv, ciphertext, tag] = parts[..] else {
            return None;
        };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header,
            iv: decode(iv)?.try_into().ok()?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?,
        })
    }

    fn header(&self) -> Result<Header, Rejection> {
        let json = URL_SAFE_NO_PAD.decode(self.header);
        let json = json.map_err(|_| Rejection::Malformed)?;
        serde_json::from_slice(&json).map_err(|_| Rejection::Malformed)
    }
}

/// The members of a JWE header that select the key or forbid its use.
#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    kid: Option<String>,
    zip: Option<serde::de::IgnoredAny>,
    crit: Option<serde::de::IgnoredAny>,
}

/// No secret, or an empty one, which anyone could guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty; give the AUTH_SECRET of the app")]
pub struct InvalidAuthjsSecret;

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_755_300_000;
    const SECURE: &str = AUTHJS_COOKIES[0];
    const PLAIN: &str = AUTHJS_COOKIES[1];

    /// A session that Auth.js issued.
    #[derive(Deserialize)]
    struct Vector {
        secret: String,
        salt: String,
        jwe: String,
        plaintext: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../tests/vectors/authjs.json")).unwrap()
    }

    fn sessions(secrets: &[&str]) -> AuthjsSessions {
        AuthjsSessions::new(secrets).unwrap()
    }

    /// What a server with the secrets decides about a cookie.
    fn verdict(secrets: &[&str], cookie: &str, token: &str) -> Result<Viewer, Rejection> {
        let sessions = sessions(secrets);
        let header = format!("theme=dark; {cookie}={token}");
        let session = sessions.find(&[header.as_bytes()]).unwrap();
        session.verify_at(OffsetDateTime::from_unix_timestamp(NOW).unwrap())
    }

    fn claims() -> Value {
        json!({"sub": "ada", "exp": NOW + 3600})
    }

    fn header() -> Value {
        json!({"alg": "dir", "enc": "A256CBC-HS512"})
    }

    /// A session with any header, encrypted with the key of the secret and the cookie.
    fn seal(secret: &str, cookie: &str, header: &Value, claims: &Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let key = derived_key(secret, cookie).unwrap();
        let cipher = UnboundCipherKey::new(&AES_256, &key[HALF_KEY..]).unwrap();
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).unwrap();
        let (iv, mut text) = ([7; 16], claims.to_string().into_bytes());
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        cipher.less_safe_encrypt(&mut text, context).unwrap();
        let bits = u64::try_from(header.len() * 8).unwrap().to_be_bytes();
        let authenticated = [header.as_bytes(), &iv, &text, &bits].concat();
        let mac = hmac::Key::new(hmac::HMAC_SHA512, &key[..HALF_KEY]);
        let tag = hmac::sign(&mac, &authenticated);
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (iv, text, tag) = (part(&iv), part(&text), part(&tag.as_ref()[..TAG]));
        format!("{header}..{iv}.{text}.{tag}")
    }

    #[test]
    fn a_session_of_auth_js_is_accepted() {
        for vector in vectors() {
            let viewer = verdict(&[&vector.secret], &vector.salt, &vector.jwe).unwrap();
            let plain: Value = serde_json::from_str(&vector.plaintext).unwrap();
            assert_eq!(viewer.user.as_str(), plain["sub"]);
            assert_eq!(viewer.credential, Credential::Cookie);
            let exp = plain["exp"].as_i64().unwrap();
            assert_eq!(viewer.expires_at.unix_timestamp(), exp + 15);
        }
    }

    #[test]
    fn a_changed_part_or_another_key_is_refused() {
        let [vector, secure, _] = vectors().try_into().ok().unwrap();
        let parts: Vec<_> = vector.jwe.split('.').collect();
        for changed in [0, 2, 3, 4] {
            let mut parts = parts.clone();
            // The first character has no unused bits, so the part stays valid base64url.
            let first = if parts[changed].starts_with('A') {
                'B'
            } else {
                'A'
            };
            let part = format!("{first}{}", &parts[changed][1..]);
            parts[changed] = &part;
            let verdict = verdict(&[&vector.secret], PLAIN, &parts.join("."));
            let malformed = changed == 0 && verdict == Err(Rejection::Malformed);
            assert!(
                malformed || verdict == Err(Rejection::Untrusted),
                "{changed}: {verdict:?}"
            );
        }
        let refused = |secret: &str, cookie: &str, token: &str| {
            assert_eq!(verdict(&[secret], cookie, token), Err(Rejection::Untrusted));
        };
        refused("another secret", PLAIN, &vector.jwe);
        refused(&vector.secret, SECURE, &vector.jwe);
        refused(&vector.secret, PLAIN, &secure.jwe);
        // A shorter tag is not compared as a prefix.
        refused(&vector.secret, PLAIN, &vector.jwe[..vector.jwe.len() - 3]);
        let without_tag = format!("{}.", parts[..4].join("."));
        refused(&vector.secret, PLAIN, &without_tag);
    }

    #[test]
    fn another_algorithm_or_an_extension_is_refused() {
        let token = |header: &Value| seal("secret", PLAIN, header, &claims());
        assert!(verdict(&["secret"], PLAIN, &token(&header())).is_ok());
        for (name, value) in [
            ("alg", json!("none")),
            ("alg", json!("A256KW")),
            ("alg", json!("Dir")),
            ("enc", json!("A256GCM")),
            ("enc", json!("A128CBC-HS256")),
            ("zip", json!("DEF")),
            ("crit", json!(["exp"])),
            ("kid", json!("")),
            ("kid", json!("another")),
        ] {
            let mut header = header();
            header[name] = value;
            let verdict = verdict(&["secret"], PLAIN, &token(&header));
            assert_eq!(verdict, Err(Rejection::Untrusted), "{header}");
        }
    }

    #[test]
    fn a_token_that_is_not_a_jwe_is_malformed() {
        let session = seal("secret", PLAIN, &header(), &claims());
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for token in [
            "x".to_owned(),
            "....".to_owned(),
            format!(
                "{unsigned}.{}.",
                URL_SAFE_NO_PAD.encode(claims().to_string())
            ),
            format!("{session}.x"),
            session.replacen("..", ".AAAA.", 1),
            session.replacen("..", "..AA", 1),
            session.replace('.', "=."),
            seal("secret", PLAIN, &json!({"enc": "A256CBC-HS512"}), &claims()),
            seal("secret", PLAIN, &header(), &json!([])),
            seal(
                "secret",
                PLAIN,
                &header(),
                &json!({"sub": 5, "exp": NOW + 1}),
            ),
        ] {
            let verdict = verdict(&["secret"], PLAIN, &token);
            assert_eq!(verdict, Err(Rejection::Malformed), "{token}");
        }
    }

    #[test]
    fn a_session_needs_a_subject_and_expires_after_15_seconds_of_leeway() {
        let judge = |claims: Value| {
            let token = seal("secret", PLAIN, &header(), &claims);
            verdict(&["secret"], PLAIN, &token).map(|viewer| viewer.user.to_string())
        };
        assert_eq!(
            judge(json!({"sub": "ada", "exp": NOW - 14})).unwrap(),
            "ada"
        );
        for (claims, rejection) in [
            (json!({"sub": "ada", "exp": NOW - 15}), Rejection::Expired),
            (json!({"sub": "ada"}), Rejection::MissingClaim("exp")),
            (json!({"exp": NOW + 1}), Rejection::MissingClaim("sub")),
            (
                json!({"sub": "", "exp": NOW + 1}),
                Rejection::InvalidSubject,
            ),
        ] {
            assert_eq!(judge(claims.clone()), Err(rejection), "{claims}");
        }
    }

    #[test]
    fn the_key_id_selects_a_secret_and_without_it_the_newest_counts() {
        let with_id = |secret: &str| {
            let mut header = header();
            header["kid"] = json!(SessionKey::derive(secret, PLAIN).id);
            seal(secret, PLAIN, &header, &claims())
        };
        let without_id = |secret: &str| seal(secret, PLAIN, &header(), &claims());
        let verdict = |token: &str| verdict(&["new", "old"], PLAIN, token);
        for secret in ["new", "old"] {
            assert!(verdict(&with_id(secret)).is_ok(), "{secret}");
        }
        assert_eq!(verdict(&with_id("gone")), Err(Rejection::Untrusted));
        assert!(verdict(&without_id("new")).is_ok());
        assert_eq!(verdict(&without_id("old")), Err(Rejection::Untrusted));
    }

    #[test]
    fn a_session_over_the_size_limit_is_refused() {
        let note = |bytes: usize| {
            let mut claims = claims();
            claims["note"] = json!("x".repeat(bytes));
            seal("secret", PLAIN, &header(), &claims)
        };
        assert!(verdict(&["secret"], PLAIN, &note(11_000)).is_ok());
        let verdict = verdict(&["secret"], PLAIN, &note(13_000));
        assert_eq!(verdict, Err(Rejection::SessionTooLong));
    }

    #[test]
    fn the_secure_cookie_takes_precedence() {
        let sessions = sessions(&["secret"]);
        let token = |cookie, sub: &str| {
            let exp = OffsetDateTime::now_utc().unix_timestamp() + 60;
            let claims = json!({"sub": sub, "exp": exp});
            format!("{cookie}={}", seal("secret", cookie, &header(), &claims))
        };
        let [plain, secure] = [token(PLAIN, "eve"), token(SECURE, "ada")];
        let both = [plain.as_bytes(), secure.as_bytes()];
        let viewer = sessions.find(&both).unwrap().verify().unwrap();
        assert_eq!(viewer.user.as_str(), "ada");
        assert!(sessions.find(&[b"other=1"]).is_none());
    }

    #[test]
    fn an_empty_secret_is_refused_and_none_is_printed() {
        assert!(AuthjsSessions::new(&[]).is_err());
        assert!(AuthjsSessions::new(&["secret", ""]).is_err());
        assert_eq!(format!("{:?}", sessions(&["Hush7"])), "[redacted]");
    }
}
