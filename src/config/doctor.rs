//! Settings of `library-sync doctor`.

use std::time::Duration;

use clap::Args;
use url::Url;

use super::{secret::Secret, serve::Serve};
use crate::duration::parse_period;

/// `library-sync doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// The settings of the server that is examined. They are those of `serve`.
    #[command(flatten)]
    pub serve: Serve,
    /// Checks to run and the form of the report.
    #[command(flatten)]
    pub examination: Examination,
}

/// Checks to run and the form of the report.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Examination")]
pub struct Examination {
    /// Public address of a running server, such as `https://library.example.org`. Checks the proxy in front of it:
    /// buffering, WebSocket upgrade, idle timeout, Host and client address.
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    pub url: Option<Url>,
    /// Token for the checks of `--url`. Without it, the doctor signs one with `--jwt-secret`.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<Secret>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
    /// Time limit of each check. The check of the idle timeout may also wait for one `--heartbeat`.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse_period)]
    pub deadline: Duration,
}

/// Parses an address of a server: scheme, host and port, and the path at which a proxy serves it.
pub(super) fn parse_origin(text: &str) -> Result<Url, String> {
    let expected = "must be an http or https address, such as https://library.example.org";
    let mut url = Url::parse(text).map_err(|_| expected.to_owned())?;
    let has_login = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || has_login {
        return Err(expected.to_owned());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}
