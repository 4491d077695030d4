//! `library-sync vapid`.

use std::io::{Write as _, stdout};

use anyhow::Context as _;

use crate::push;

/// Prints a new VAPID key.
///
/// # Errors
/// When the system has no random bytes, or standard output cannot be written.
pub fn vapid() -> anyhow::Result<()> {
    let key = push::new_key().context("the system has no random bytes")?;
    Ok(stdout().write_all(key.as_bytes())?)
}
