//! Builds the authenticator from the settings of tokens and sessions.

use anyhow::Context as _;

use super::pem::pem;
use crate::{
    auth::{AUTHJS_COOKIES, AuthjsSessions, JwksTiming, Keys, Rules, Verifier},
    config,
    http::Authenticator,
};

/// A secret of an Auth.js app below this size causes a warning, in bytes. It is not refused, because the app uses it.
const WEAK_SECRET: usize = 32;

/// Builds the authenticator.
///
/// # Errors
/// When a key is missing or invalid, with the name of its setting.
pub fn authenticator(config: &config::Keys) -> anyhow::Result<Authenticator> {
    let authjs_sessions = authjs_sessions(config)?;
    let keys = match (&config.jwt_secret, &config.jwt_public_key, &config.jwks_url) {
        (Some(secret), None, None) => {
            Keys::secret(secret.0.as_bytes()).context("--jwt-secret (LIBRARY_SYNC_JWT_SECRET)")
        }
        (None, Some(key), None) => {
            let setting = "--jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY)";
            Keys::pem(&pem(setting, &key.0)?).context(setting)
        }
        (None, None, Some(url)) => {
            let timing = JwksTiming {
                refetch: config.jwks_refetch,
                ..JwksTiming::default()
            };
            Keys::jwks(&url.0, timing).context("--jwks-url (LIBRARY_SYNC_JWKS_URL)")
        }
        (None, None, None) if authjs_sessions.is_some() => Ok(Keys::none()),
        (None, None, None) => Err(anyhow::anyhow!(
            "no key to check tokens with: give --jwt-secret (LIBRARY_SYNC_JWT_SECRET), \
             --jwt-public-key (LIBRARY_SYNC_JWT_PUBLIC_KEY), --jwks-url (LIBRARY_SYNC_JWKS_URL) or \
             --authjs-secret (LIBRARY_SYNC_AUTHJS_SECRET)"
        )),
        _ => Err(anyhow::anyhow!(
            "give only one of --jwt-secret, --jwt-public-key and --jwks-url"
        )),
    }?;
    let rules = Rules {
        issuer: config.jwt_issuer.clone(),
        audience: config.jwt_audience.clone(),
        leeway: config.jwt_leeway,
    };
    Ok(Authenticator {
        verifier: Verifier::new(keys, rules),
        origins: config.allowed_origins.clone(),
        session_cookie: config.session_cookie.clone(),
        authjs_sessions,
    })
}

fn authjs_sessions(config: &config::Keys) -> anyhow::Result<Option<AuthjsSessions>> {
    let secrets = config.authjs.secrets();
    if secrets.is_empty() {
        return Ok(None);
    }
    let cookie = config.session_cookie.as_deref().unwrap_or_default();
    anyhow::ensure!(
        !AUTHJS_COOKIES.contains(&cookie),
        "--session-cookie (LIBRARY_SYNC_SESSION_COOKIE): the cookie of --authjs-secret is always accepted; \
         omit --session-cookie, or give the name of another cookie"
    );
    if secrets.iter().any(|secret| secret.len() < WEAK_SECRET) {
        tracing::warn!(
            "--authjs-secret: a secret has fewer than {WEAK_SECRET} bytes; a person who guesses it can sign in as any \
             user: generate one with `npx auth secret`, for the app too"
        );
    }
    let sessions = AuthjsSessions::new(&secrets);
    sessions
        .context("--authjs-secret (LIBRARY_SYNC_AUTHJS_SECRET)")
        .map(Some)
}
