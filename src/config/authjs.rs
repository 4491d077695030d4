//! Settings of session cookies of an Auth.js app.

use clap::Args;

use super::secret::Secret;

/// Secrets of session cookies of an Auth.js v5 app, as in the app's own environment.
#[derive(Debug, Clone, Args)]
pub struct Authjs {
    /// Secret of an Auth.js v5 app (its `AUTH_SECRET`). The server then accepts the app's session cookies
    /// `authjs.session-token` and `__Secure-authjs.session-token`.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub authjs_secret: Option<Secret>,
    /// Newer secret of the app during a rotation (its `AUTH_SECRET_1`).
    #[arg(
        long = "authjs-secret-1",
        env = "AUTHJS_SECRET_1",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub authjs_secret_1: Option<Secret>,
    /// Newer secret than `--authjs-secret-1` (its `AUTH_SECRET_2`).
    #[arg(
        long = "authjs-secret-2",
        env = "AUTHJS_SECRET_2",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub authjs_secret_2: Option<Secret>,
    /// Newer secret than `--authjs-secret-2` (its `AUTH_SECRET_3`).
    #[arg(
        long = "authjs-secret-3",
        env = "AUTHJS_SECRET_3",
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub authjs_secret_3: Option<Secret>,
}

impl Authjs {
    /// Returns the secrets that are set, newest first.
    pub fn secrets(&self) -> Vec<&str> {
        [
            &self.authjs_secret_3,
            &self.authjs_secret_2,
            &self.authjs_secret_1,
            &self.authjs_secret,
        ]
        .into_iter()
        .flatten()
        .map(|secret| secret.0.as_str())
        .collect()
    }
}
