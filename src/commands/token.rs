//! `library-sync token`.

use std::io::{Write as _, stdout};

use anyhow::Context as _;

use crate::{
    auth::{self, Rules},
    config::Token,
    version::UserId,
};

/// Prints a token.
///
/// # Errors
/// When the secret or the user is invalid, or standard output cannot be written.
pub fn token(token: Token) -> anyhow::Result<()> {
    let secret = token
        .jwt_secret
        .context("no secret: give --jwt-secret or set LIBRARY_SYNC_JWT_SECRET")?;
    let user = UserId::new(&token.sub).context("--sub")?;
    let rules = Rules {
        issuer: token.jwt_issuer,
        audience: token.jwt_audience,
        ..Rules::default()
    };
    let token =
        auth::mint(secret.0.as_bytes(), &rules, &user, token.ttl).context("--jwt-secret")?;
    writeln!(stdout(), "{token}")?;
    Ok(())
}
