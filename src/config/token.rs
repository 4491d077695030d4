//! Settings of `library-sync token`.

use std::time::Duration;

use clap::{Args, builder::NonEmptyStringValueParser};

use super::secret::Secret;
use crate::duration::parse_life;

/// `library-sync token`.
#[derive(Debug, Clone, Args)]
pub struct Token {
    /// Subject of the token (`sub`).
    #[arg(long, value_name = "NAME")]
    pub sub: String,
    /// Lifetime of the token.
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = parse_life)]
    pub ttl: Duration,
    /// HS256 secret to sign with, at least 32 bytes.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// Issuer of the token (`iss`).
    #[arg(long, env, value_name = "ISSUER", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Option<String>,
    /// Audience of the token (`aud`).
    #[arg(long, env, value_name = "AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,
}
