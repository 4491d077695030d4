//! Reads a key that is given directly or as the path of a file.

use std::path::Path;

use anyhow::Context as _;

/// Returns the PEM of a key. `setting` is its name in errors.
///
/// # Errors
/// When it is not PEM and not the path of a file that can be read.
pub(super) fn pem(setting: &str, text_or_path: &str) -> anyhow::Result<Vec<u8>> {
    if text_or_path.contains("-----BEGIN") {
        return Ok(text_or_path.as_bytes().to_vec());
    }
    // Text that is not the path of a file may be a secret, so the error does not repeat it.
    anyhow::ensure!(
        Path::new(text_or_path).exists(),
        "{setting}: is not PEM text or the path of an existing file"
    );
    std::fs::read(text_or_path).with_context(|| format!("{setting}: cannot read {text_or_path}"))
}
