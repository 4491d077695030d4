//! Token verification settings.

use std::time::Duration;

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{authjs::Authjs, secret::Secret};
use crate::{
    auth::Origins,
    duration::{parse_period, parse_wait},
};

/// Token verification settings. At most one of the first three is allowed. Without them, only cookies of Auth.js are accepted.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct Keys {
    /// Secret of HS256 tokens, at least 32 bytes.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "SECRET"
    )]
    pub jwt_secret: Option<Secret>,
    /// Public key of RS256, ES256 or EdDSA tokens: PEM, or the path of a PEM file.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "PEM|FILE"
    )]
    pub jwt_public_key: Option<Secret>,
    /// URL of a JSON Web Key Set (JWKS). Must be https, except on localhost. Its keys may rotate.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub jwks_url: Option<Secret>,
    /// Minimum interval between two requests to the key server, even for unknown key ids.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_period)]
    pub jwks_refetch: Duration,
    /// Required issuer of tokens (`iss`).
    #[arg(long, env, value_name = "ISSUER", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Option<String>,
    /// Required audience of tokens (`aud`).
    #[arg(long, env, value_name = "AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,
    /// Tolerated clock skew between the issuer and this server.
    #[arg(long, env, default_value = "5s", value_name = "DURATION", value_parser = parse_wait)]
    pub jwt_leeway: Duration,
    /// Name of a session cookie that may hold the token. By default, cookies are ignored.
    #[arg(long, env, value_name = "NAME", value_parser = parse_cookie_name)]
    pub session_cookie: Option<String>,
    /// Sessions of an Auth.js app.
    #[command(flatten)]
    pub authjs: Authjs,
    /// Origins whose pages may use the cookie and read responses, separated by commas, such as `https://app.example`. The
    /// server's own origin is always allowed.
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

/// Accepts the name of a cookie: a token (RFC 6265 section 4.1.1, RFC 9110 section 5.6.2).
fn parse_cookie_name(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err("must be the name of a cookie: letters, digits and !#$%&'*+-.^_`|~".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_origins(text: &str) -> Result<Origins, String> {
    let origins = text
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty());
    Origins::parse(origins).map_err(|error| error.to_string())
}
