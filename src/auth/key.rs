//! [`Key`]: verifies the signature of a token with a fixed algorithm.
//!
//! **Invariant:** a [`Key`] has one algorithm and accepts only tokens signed with it. So a public key cannot be used as an
//! HMAC secret, and `none` is never accepted.

use std::error::Error;

use aws_lc_rs::{
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
        RsaPublicKeyComponents,
    },
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, errors::ErrorKind};
use serde::de::DeserializeOwned;

use super::rejection::Rejection;

/// Minimum size of an HS256 secret, in bytes (RFC 7518, section 3.2: at least the size of the hash).
const MIN_SECRET_BYTES: usize = 32;
/// Accepted sizes of RSA keys, in bits (RFC 7518, section 3.3, and the limit of aws-lc).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key and its algorithm.
#[derive(Debug)]
pub(super) struct Key {
    decoding: DecodingKey,
    /// Validates the signature only. [`Rules`](super::Rules) validates the claims.
    validation: Validation,
}

impl Key {
    pub(super) fn new(algorithm: Algorithm, decoding: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self {
            decoding,
            validation,
        }
    }

    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let text = String::from_utf8_lossy(pem);
        if text.contains("PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        if !text.contains("-----BEGIN PUBLIC KEY-----")
            && !text.contains("-----BEGIN RSA PUBLIC KEY-----")
        {
            return Err(InvalidKey::NotPem);
        }
        let key = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| InvalidKey::Unsupported)?;
        let bytes = key
            .try_get_as_bytes()
            .map_err(|_| InvalidKey::Unsupported)?;
        match key.family() {
            AlgorithmFamily::Rsa => {
                let key = rsa::PublicKey::from_der(bytes).map_err(|_| InvalidKey::Unsupported)?;
                let components = RsaPublicKeyComponents::<Vec<u8>>::from(&key);
                Self::rsa(Algorithm::RS256, &components.n, &components.e)
            }
            AlgorithmFamily::Ec => Self::p256(bytes),
            AlgorithmFamily::Ed => Self::ed25519(bytes),
            AlgorithmFamily::Hmac => Err(InvalidKey::Unsupported),
        }
    }

    /// Creates an RSA key from a big-endian modulus and exponent.
    pub(super) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, InvalidKey> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let spare = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
        let bits = n.len() * 8 - spare;
        if !RSA_BITS.contains(&bits) {
            return Err(InvalidKey::RsaSize(bits));
        }
        RsaPublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| InvalidKey::Unsupported)?;
        Ok(Self::new(
            algorithm,
            DecodingKey::from_rsa_raw_components(n, e),
        ))
    }

    /// Creates an ES256 key from a point of P-256 in SEC 1 form.
    pub(super) fn p256(point: &[u8]) -> Result<Self, InvalidKey> {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .map_err(|_| InvalidKey::Unsupported)?;
        Ok(Self::new(Algorithm::ES256, DecodingKey::from_ec_der(point)))
    }

    /// Creates an `EdDSA` key from the 32 bytes of an Ed25519 public key.
    pub(super) fn ed25519(public: &[u8]) -> Result<Self, InvalidKey> {
        ParsedPublicKey::new(&ED25519, public).map_err(|_| InvalidKey::Unsupported)?;
        Ok(Self::new(
            Algorithm::EdDSA,
            DecodingKey::from_ed_der(public),
        ))
    }

    /// Returns whether the key is for this algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.validation.algorithms.contains(&algorithm)
    }

    /// Verifies the token's algorithm and signature, then parses its claims.
    pub(super) fn open<T: DeserializeOwned>(&self, token: &str) -> Result<T, Rejection> {
        match jsonwebtoken::decode(token, &self.decoding, &self.validation) {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidToken
                | ErrorKind::Base64(_)
                | ErrorKind::Json(_)
                | ErrorKind::Utf8(_) => Rejection::Malformed,
                _ => Rejection::Untrusted,
            }),
        }
    }
}

fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Refuses an invalid HS256 secret.
pub(super) fn check_secret(secret: &[u8]) -> Result<(), InvalidKey> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err(InvalidKey::ShortSecret(secret.len()));
    }
    // A public key is not secret: as an HMAC secret, it would let anyone sign tokens.
    if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
        return Err(InvalidKey::PemAsSecret);
    }
    Ok(())
}

/// Why a configured key is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A secret that is too short, with its size in bytes.
    #[error(
        "the secret has {0} bytes, but HS256 needs at least {MIN_SECRET_BYTES}; generate one with `openssl rand -base64 48`"
    )]
    ShortSecret(usize),
    /// PEM instead of a secret.
    #[error("the secret is PEM; give a public key with --jwt-public-key")]
    PemAsSecret,
    /// A private key instead of a public key.
    #[error(
        "this is a private key, which only the issuer of tokens may have; extract the public key with `openssl pkey -pubout`"
    )]
    Private,
    /// No public key in PEM, for example a certificate.
    #[error(
        "no `-----BEGIN PUBLIC KEY-----` found; extract the key of a certificate with `openssl x509 -pubkey -noout`"
    )]
    NotPem,
    /// An RSA key of an unsupported size, in bits.
    #[error("the RSA key has {0} bits; it must have {min} to {max}", min = RSA_BITS.start(), max = RSA_BITS.end())]
    RsaSize(usize),
    /// An invalid key, or one of another kind.
    #[error("the public key is invalid, or its kind is not RSA, P-256 or Ed25519")]
    Unsupported,
    /// An invalid URL of a key server.
    #[error("the URL of the key server {0}")]
    Address(&'static str),
    /// The HTTP client cannot be created, for example because the system has no root certificates.
    #[error("cannot create an HTTP client for the key server: {0}")]
    Client(String),
}

impl InvalidKey {
    pub(super) fn client(error: &reqwest::Error) -> Self {
        // The error's own text is only "builder error".
        Self::Client(
            error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string),
        )
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING};

    use super::*;
    use crate::auth::testing::{ec_public_pem, ed25519, p256, pem, rsa};

    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC+ahLW9Om/x1g4Un5Fq8Ci66oB\n\
        mSx2oKAh3TunVIR5kvkE8od7+4ZqkU8tvOhri2eMYLf9Xxb67U9uO9ehR2aXzO6V\n\
        lT9/k6yeU/E/k13d5iYRJB//QFUmFmd1BuSoAne2xjouX3bjYi8z7FWk7ukChtwC\n\
        Ehgzd4/sr2JcPqGz/wIDAQAB\n\
        -----END PUBLIC KEY-----\n";

    fn algorithm(pem: &str) -> Result<Algorithm, InvalidKey> {
        Key::from_pem(pem.as_bytes()).map(|key| key.validation.algorithms[0])
    }

    #[test]
    fn a_public_key_decides_the_algorithm() {
        assert_eq!(algorithm(&rsa().public_pem), Ok(Algorithm::RS256));
        assert_eq!(algorithm(&p256().public_pem), Ok(Algorithm::ES256));
        assert_eq!(algorithm(&ed25519().public_pem), Ok(Algorithm::EdDSA));
    }

    #[test]
    fn an_rsa_key_in_the_older_form_is_accepted() {
        let der = DecodingKey::from_rsa_pem(rsa().public_pem.as_bytes()).unwrap();
        let older = pem("RSA PUBLIC KEY", der.try_get_as_bytes().unwrap());
        assert_eq!(algorithm(&older), Ok(Algorithm::RS256));
    }

    #[test]
    fn a_weak_rsa_key_is_refused() {
        assert_eq!(algorithm(RSA_1024), Err(InvalidKey::RsaSize(1024)));
        assert!(matches!(
            Key::rsa(Algorithm::RS256, &[], &[3]),
            Err(InvalidKey::RsaSize(0))
        ));
        let padded = [vec![0; 128], vec![0xff; 128]].concat();
        assert!(matches!(
            Key::rsa(Algorithm::RS256, &padded, &[3]),
            Err(InvalidKey::RsaSize(1024))
        ));
    }

    #[test]
    fn other_curves_are_refused() {
        for curve in [
            &ECDSA_P384_SHA384_FIXED_SIGNING,
            &ECDSA_P256K1_SHA256_ASN1_SIGNING,
        ] {
            assert_eq!(
                algorithm(&ec_public_pem(curve)),
                Err(InvalidKey::Unsupported)
            );
        }
    }

    #[test]
    fn a_private_key_a_certificate_and_junk_have_different_errors() {
        assert_eq!(
            algorithm(&pem("PRIVATE KEY", b"x")),
            Err(InvalidKey::Private)
        );
        assert_eq!(
            algorithm(&pem("RSA PRIVATE KEY", b"x")),
            Err(InvalidKey::Private)
        );
        assert_eq!(
            algorithm(&pem("CERTIFICATE", b"x")),
            Err(InvalidKey::NotPem)
        );
        assert_eq!(algorithm(""), Err(InvalidKey::NotPem));
        assert_eq!(
            algorithm(&pem("PUBLIC KEY", b"x")),
            Err(InvalidKey::Unsupported)
        );
        assert_eq!(
            algorithm("-----BEGIN PUBLIC KEY-----\n"),
            Err(InvalidKey::Unsupported)
        );
    }
}
