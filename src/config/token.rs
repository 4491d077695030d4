//! `library-sync token`.

use std::time::Duration;

use clap::Args;
use humantime::parse_duration;

use super::secret::Secret;

/// `library-sync token`.
#[derive(Debug, Clone, Args)]
pub struct Token {
    /// Whom the token names.
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// How long it is accepted.
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = parse_duration)]
    pub ttl: Duration,
    /// The secret to sign with, at least 32 bytes.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// The `iss` to put in.
    #[arg(long, env, value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The `aud` to put in.
    #[arg(long, env, value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
}
