//! What tokens are checked with.

use std::time::Duration;

use clap::Args;
use humantime::parse_duration;

use super::{period::parse_period, secret::Secret};
use crate::auth::Origins;

/// What tokens are checked with. Exactly one of the first three is needed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct Keys {
    /// The secret that HS256 tokens are signed with, at least 32 bytes.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// The public key of RS256, ES256 or EdDSA tokens: PEM, or the path of a PEM file.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "PEM|FILE"
    )]
    pub jwt_public_key: Option<Secret>,
    /// The address of a key server's JWKS, https unless on this machine. Its keys may rotate.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub jwks_url: Option<Secret>,
    /// The least time between two requests to the key server, whatever key ids tokens name.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub jwks_refetch: Duration,
    /// The `iss` that tokens must have.
    #[arg(long, env, value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The `aud` that tokens must have.
    #[arg(long, env, value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// By how much the clocks of the issuer and this server may differ.
    #[arg(long, env, default_value = "5s", value_name = "DURATION", value_parser = parse_duration)]
    pub jwt_leeway: Duration,
    /// The cookie that may hold the token. Off when not given.
    #[arg(long, env, value_name = "NAME")]
    pub session_cookie: Option<String>,
    /// The origins whose pages may use the cookie and read answers, separated by commas, such as
    /// `https://app.example`. The server's own origin is always allowed.
    #[arg(
        long,
        env,
        default_value = "",
        hide_default_value = true,
        value_name = "ORIGINS",
        value_parser = parse_origins
    )]
    pub allowed_origins: Origins,
}

fn parse_origins(text: &str) -> Result<Origins, String> {
    let origins = text
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty());
    Origins::parse(origins).map_err(|error| error.to_string())
}
