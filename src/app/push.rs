//! Builds Web Push and the webhook from their settings.

use anyhow::Context as _;

use super::pem::pem;
use crate::{
    config,
    push::{NoticeTemplate, Push, Vapid, Webhook},
};

/// Returns the sender of push messages, unless Web Push is off.
///
/// # Errors
/// When a setting is invalid, with its name.
pub fn push(config: &config::Push) -> anyhow::Result<Option<Push>> {
    let (Some(key), Some(subject)) = (&config.vapid_key, &config.vapid_subject) else {
        return refuse_unused(config).map(|()| None);
    };
    let setting = "--vapid-key (LIBRARY_SYNC_VAPID_KEY)";
    let vapid = Vapid::new(&pem(setting, &key.0)?, subject);
    let vapid = vapid.map_err(|error| match error {
        crate::push::InvalidVapid::Key => anyhow::anyhow!("{setting}: {error}"),
        crate::push::InvalidVapid::Subject => {
            anyhow::anyhow!("--vapid-subject (LIBRARY_SYNC_VAPID_SUBJECT): {error}")
        }
    })?;
    if config.limits.push_allow.is_some() {
        tracing::warn!(
            "--push-allow is for tests only: endpoints of that origin may have a private address and no TLS"
        );
    }
    let push = Push::new(vapid, template(config)?, config.limits.clone());
    push.map(Some).context("the client for push services")
}

/// Refuses settings that have no effect while Web Push is off.
fn refuse_unused(config: &config::Push) -> anyhow::Result<()> {
    for (is_set, setting) in [
        (config.push_notice.is_some(), PUSH_NOTICE),
        (
            config.limits.push_allow.is_some(),
            "--push-allow (LIBRARY_SYNC_PUSH_ALLOW)",
        ),
    ] {
        anyhow::ensure!(
            !is_set,
            "{setting}: has no effect, because Web Push is off: set --vapid-key and --vapid-subject too"
        );
    }
    Ok(())
}

const PUSH_NOTICE: &str = "--push-notice (LIBRARY_SYNC_PUSH_NOTICE)";

fn template(config: &config::Push) -> anyhow::Result<NoticeTemplate> {
    let Some(path) = &config.push_notice else {
        return Ok(NoticeTemplate::default());
    };
    let setting = PUSH_NOTICE;
    let text = std::fs::read(path)
        .with_context(|| format!("{setting}: cannot read {}", path.display()))?;
    NoticeTemplate::parse(&text)
        .map_err(|error| anyhow::anyhow!("{setting}: {}: {error}", path.display()))
}

/// Returns the webhook, if there is one.
///
/// # Errors
/// When a setting is invalid, with its name.
pub fn webhook(config: &config::Push) -> anyhow::Result<Option<Webhook>> {
    let (Some(url), Some(secret)) = (&config.webhook, &config.webhook_secret) else {
        return Ok(None);
    };
    let webhook = Webhook::new(&url.0, &secret.0, config.limits.clone());
    webhook.map(Some).map_err(|error| match error {
        crate::push::InvalidWebhook::Url => {
            anyhow::anyhow!("--webhook (LIBRARY_SYNC_WEBHOOK): {error}")
        }
        crate::push::InvalidWebhook::Secret => {
            anyhow::anyhow!("--webhook-secret (LIBRARY_SYNC_WEBHOOK_SECRET): {error}")
        }
    })
}
