//! Signing keys for the tests of this module, generated in every run.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair, RsaPublicKeyComponents,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(super) const SECRET: &[u8] = b"a secret of 32 bytes or even more";

/// A private key and its public forms.
pub(super) struct Signer {
    pub(super) kind: &'static str,
    pub(super) public_pem: String,
    algorithm: Algorithm,
    private: EncodingKey,
    jwk: Value,
}

impl Signer {
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&Header::new(self.algorithm), claims)
    }

    pub(super) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private).unwrap()
    }

    /// A token whose header names the key.
    pub(super) fn sign_as(&self, kid: &str, claims: &Value) -> String {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..Header::new(self.algorithm)
        };
        self.sign_with(&header, claims)
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = json!(kid);
        jwk
    }
}

/// Claims that are valid for an hour.
pub(super) fn claims() -> Value {
    json!({"sub": "ada", "exp": time::OffsetDateTime::now_utc().unix_timestamp() + 3600})
}

pub(super) fn hs256() -> Signer {
    Signer {
        kind: "hs256",
        public_pem: String::new(),
        algorithm: Algorithm::HS256,
        private: EncodingKey::from_secret(SECRET),
        jwk: json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}),
    }
}

pub(super) fn rsa() -> &'static Signer {
    static RSA: LazyLock<Signer> = LazyLock::new(|| {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        Signer {
            kind: "rsa",
            public_pem: pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
            algorithm: Algorithm::RS256,
            private: EncodingKey::from_rsa_pem(pem("PRIVATE KEY", pkcs8.as_ref()).as_bytes())
                .unwrap(),
            jwk: json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)}),
        }
    });
    &RSA
}

pub(super) fn p256() -> &'static Signer {
    static P256: LazyLock<Signer> = LazyLock::new(new_p256);
    &P256
}

pub(super) fn new_p256() -> Signer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    Signer {
        kind: "p256",
        public_pem: pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
        algorithm: Algorithm::ES256,
        private: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
        jwk: json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)}),
    }
}

pub(super) fn ed25519() -> &'static Signer {
    static ED25519: LazyLock<Signer> = LazyLock::new(|| {
        let pair = Ed25519KeyPair::generate().unwrap();
        Signer {
            kind: "ed25519",
            public_pem: pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref()),
            algorithm: Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()),
            jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())}),
        }
    });
    &ED25519
}

pub(super) fn ec_public_pem(curve: &'static EcdsaSigningAlgorithm) -> String {
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref())
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
