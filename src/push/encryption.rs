//! Encrypts the payload of a Web Push message (RFC 8291, in the content coding `aes128gcm` of RFC 8188).
//!
//! Own code, because the existing crates need OpenSSL or another implementation of cryptography (web-push 0.11, ece,
//! web-push-native 0.4). Delete it when one of them runs on aws-lc-rs.
//!
//! **Invariant:** each message has a new key pair and a new salt, so no key encrypts two messages.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// Length of an uncompressed point of P-256, in bytes.
const POINT: usize = 65;

/// Length of a subscription's authentication secret, in bytes.
const AUTH: usize = 16;

/// Length of the salt, in bytes.
const SALT: usize = 16;

/// Record size in the header. A message is a single record, so it must not be shorter than the record.
const RECORD_SIZE: u32 = 4096;

/// Maximum length of an encrypted message, in bytes: the limit that all push services share.
pub(super) const MAX_MESSAGE: usize = 4096;

/// Maximum length of a payload, in bytes: without the header, the padding delimiter and the authentication tag.
pub(super) const MAX_PAYLOAD: usize = MAX_MESSAGE - (SALT + 4 + 1 + POINT) - 1 - 16;

/// The keys of a subscription (`PushSubscription.getKey`), to which messages are encrypted. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    public: [u8; POINT],
    auth: [u8; AUTH],
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient")
    }
}

/// Why the keys of a subscription are invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecipient {
    /// `p256dh` is not a public key.
    #[error("must be an uncompressed public key of P-256 (65 bytes) in base64url")]
    PublicKey,
    /// `auth` is not a secret.
    #[error("must be 16 bytes in base64url")]
    Auth,
}

impl Recipient {
    /// Parses the keys of a subscription, in base64url.
    ///
    /// # Errors
    /// When a key does not have its length, or the public key is not a point of the curve.
    pub fn parse(p256dh: &str, auth: &str) -> Result<Self, InvalidRecipient> {
        let public: [u8; POINT] = decode(p256dh).ok_or(InvalidRecipient::PublicKey)?;
        let auth = decode(auth).ok_or(InvalidRecipient::Auth)?;
        match ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, &public)) {
            Ok(_) => Ok(Self { public, auth }),
            Err(_) => Err(InvalidRecipient::PublicKey),
        }
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
    bytes.ok()?.try_into().ok()
}

/// Encrypts a payload.
///
/// # Errors
/// When the payload exceeds [`MAX_PAYLOAD`].
pub(super) fn encrypt(to: &Recipient, payload: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let mut salt = [0; SALT];
    rand::fill(&mut salt)?;
    seal(to, payload, &PrivateKey::generate(&ECDH_P256)?, salt)
}

/// Encrypts with the key pair and the salt of one message (RFC 8291, section 3.4).
fn seal(
    to: &Recipient,
    payload: &[u8],
    own: &PrivateKey,
    salt: [u8; SALT],
) -> Result<Vec<u8>, Unspecified> {
    if payload.len() > MAX_PAYLOAD {
        return Err(Unspecified);
    }
    let own_public = own.compute_public_key()?;
    let own_public = own_public.as_ref();
    let peer = UnparsedPublicKey::new(&ECDH_P256, &to.public[..]);
    let info: [&[u8]; 3] = [b"WebPush: info\0", &to.public, own_public];
    let input: [u8; 32] = agree(own, peer, Unspecified, |secret| {
        derive(&to.auth, secret, &info)
    })?;
    let key: [u8; 16] = derive(&salt, &input, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(&salt, &input, &[b"Content-Encoding: nonce\0"])?;

    let mut record = [payload, &[2]].concat(); // 2 ends the last record; no padding follows
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::empty(),
        &mut record,
    )?;
    let length = u8::try_from(own_public.len()).map_err(|_| Unspecified)?;
    let header = [&salt[..], &RECORD_SIZE.to_be_bytes(), &[length], own_public];
    Ok([&header.concat()[..], &record].concat())
}

/// Derives `N` bytes with HKDF-SHA-256 (RFC 5869).
fn derive<const N: usize>(
    salt: &[u8],
    secret: &[u8],
    info: &[&[u8]],
) -> Result<[u8; N], Unspecified> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = [0; N];
    let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
    prk.expand(info, Length(N))?.fill(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8291, appendix A.
    const UA_PUBLIC: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH_SECRET: &str = "BTBZMqHH6r4Tts7J_aSIgg";
    const AS_PRIVATE: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
    const SALT_TEXT: &str = "DGv6ra1nlYgDCS1FRnbzlw";
    const MESSAGE: &str = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";

    #[test]
    fn a_message_is_that_of_rfc_8291_appendix_a_byte_for_byte() {
        let to = Recipient::parse(UA_PUBLIC, AUTH_SECRET).unwrap();
        let own: [u8; 32] = decode(AS_PRIVATE).unwrap();
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let payload = b"When I grow up, I want to be a watermelon";
        let message = seal(&to, payload, &own, decode(SALT_TEXT).unwrap()).unwrap();
        assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(message), MESSAGE);
    }

    #[test]
    fn the_longest_payload_fills_a_message_and_a_longer_one_is_refused() {
        let to = Recipient::parse(UA_PUBLIC, AUTH_SECRET).unwrap();
        let message = encrypt(&to, &[b'x'; MAX_PAYLOAD]).unwrap();
        assert_eq!((MAX_PAYLOAD, message.len()), (3993, MAX_MESSAGE));
        assert!(encrypt(&to, &[b'x'; MAX_PAYLOAD + 1]).is_err());
    }

    #[test]
    fn two_messages_share_neither_salt_nor_key() {
        let to = Recipient::parse(UA_PUBLIC, AUTH_SECRET).unwrap();
        let (one, two) = (encrypt(&to, b"x").unwrap(), encrypt(&to, b"x").unwrap());
        assert_ne!(one[..SALT], two[..SALT]);
        assert_ne!(one[SALT + 5..][..POINT], two[SALT + 5..][..POINT]);
    }

    #[test]
    fn invalid_keys_of_a_subscription_are_refused() {
        let mut off_curve: [u8; POINT] = decode(UA_PUBLIC).unwrap();
        off_curve[64] ^= 1;
        let off_curve = BASE64_URL_SAFE_NO_PAD.encode(off_curve);
        for p256dh in ["", "AA", "*", &UA_PUBLIC[..80], &off_curve] {
            let parsed = Recipient::parse(p256dh, AUTH_SECRET);
            assert_eq!(parsed, Err(InvalidRecipient::PublicKey), "{p256dh}");
        }
        for auth in ["", "AA", "BTBZMqHH6r4Tts7J_aSIggAA"] {
            let parsed = Recipient::parse(UA_PUBLIC, auth);
            assert_eq!(parsed, Err(InvalidRecipient::Auth), "{auth}");
        }
        assert!(Recipient::parse(&format!("{UA_PUBLIC}="), &format!("{AUTH_SECRET}==")).is_ok());
    }
}
