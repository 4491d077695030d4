//! Settings of Web Push and of the webhook.

use std::path::PathBuf;

use clap::Args;

use super::secret::Secret;
use crate::push::PushLimits;

/// Settings of Web Push and of the webhook.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Push")]
pub struct Push {
    /// Private key that identifies this server to push services (VAPID): PEM, or the path of a PEM file. Make one with
    /// `library-sync vapid`, and keep it: browsers bind their subscriptions to it. Without it, Web Push is off.
    #[arg(
        long,
        env,
        hide_env_values = true,
        allow_hyphen_values = true,
        requires = "vapid_subject",
        value_name = "PEM|FILE"
    )]
    pub vapid_key: Option<Secret>,
    /// Address at which operators of push services can reach you: `mailto:` or `https:`.
    #[arg(long, env, requires = "vapid_key", value_name = "CONTACT")]
    pub vapid_subject: Option<String>,
    /// JSON file with the words of notices, see docs/push.md. Missing members keep their defaults.
    #[arg(long, env, value_name = "FILE")]
    pub push_notice: Option<PathBuf>,
    /// URL that is called for each changed user, signed as Standard Webhooks.
    #[arg(
        long,
        env,
        hide_env_values = true,
        requires = "webhook_secret",
        value_name = "URL"
    )]
    pub webhook: Option<Secret>,
    /// Secret that signs the calls: `whsec_` and 24 to 64 bytes in base64.
    #[arg(
        long,
        env,
        hide_env_values = true,
        requires = "webhook",
        value_name = "SECRET"
    )]
    pub webhook_secret: Option<Secret>,
    /// Limits and times.
    #[command(flatten)]
    pub limits: PushLimits,
}
