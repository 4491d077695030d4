//! Self-signed certificates, made by OpenSSL.

use std::process::Command;

use crate::support::programs::Finish as _;

/// Writes a certificate of localhost and 127.0.0.1, and its key, as PEM files.
pub fn write_certificate(certificate: &str, key: &str) {
    let openssl = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", key, "-out", certificate])
        .finish();
    assert!(openssl.status.success());
}
