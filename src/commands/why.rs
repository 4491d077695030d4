//! `library-sync why`: prints why the devices of a user are not up to date, and what to do.

use std::io::{Write, stdout};

use anyhow::Context as _;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    app::open_database::open_library,
    config::Why,
    library::{DeviceSettings, Opening, Verdict, ViewedDevice},
    version::UserId,
};

/// Prints the verdicts of a user's devices.
///
/// # Errors
/// When the user does not exist, or the database fails. An unknown device is one that was never seen.
pub async fn why(why: &Why) -> anyhow::Result<()> {
    let user = UserId::new(&why.sub).context("--sub")?;
    let library = open_library(&why.database, Opening::Read).await?;
    let library = library.with_devices(DeviceSettings {
        verdicts: why.verdicts.clone(),
        ..DeviceSettings::default()
    });
    let exists = library.exists(&user).await?;
    anyhow::ensure!(exists, "--sub: the user {user} does not exist");
    let mut devices = library.viewed_devices(&user).await?;
    if let Some(id) = &why.device {
        devices.retain(|device| device.id == *id);
        if devices.is_empty() {
            print_verdict(id, Verdict::NeverSeen, None, &mut stdout().lock())?;
        }
    } else if devices.is_empty() {
        writeln!(stdout(), "no device of {user} has named itself")?;
    }
    for device in &devices {
        print(device, &mut stdout().lock())?;
    }
    Ok(())
}

fn print(device: &ViewedDevice, to: &mut impl Write) -> anyhow::Result<()> {
    let mut title = match &device.name {
        Some(name) => format!("{name} ({})", device.id),
        None => device.id.clone(),
    };
    if let Some(platform) = &device.platform {
        title = format!("{title}, {platform}");
    }
    print_verdict(&title, device.verdict, device.since, to)?;
    if let Some(behind) = device.behind.filter(|behind| *behind > 0) {
        writeln!(to, "  versions behind: {behind}")?;
    }
    if let Some(seen_at) = device.last_seen_at {
        writeln!(to, "  last seen: {}", text_of(seen_at)?)?;
    }
    for stream in &device.streams {
        let since = text_of(stream.opened_at)?;
        writeln!(
            to,
            "  stream: {} on {} since {since}",
            stream.transport, stream.node
        )?;
    }
    if let Some(pending) = device.pending.as_ref().filter(|pending| pending.count > 0) {
        let error = pending.error.as_deref().unwrap_or("none");
        writeln!(
            to,
            "  outbox: {} changes, last error: {error}",
            pending.count
        )?;
    }
    Ok(())
}

fn print_verdict(
    title: &str,
    verdict: Verdict,
    since: Option<OffsetDateTime>,
    to: &mut impl Write,
) -> anyhow::Result<()> {
    let name: &str = verdict.into();
    writeln!(to, "{title}: {name}")?;
    writeln!(to, "  {}", verdict.meaning())?;
    if let Some(since) = since {
        writeln!(to, "  since: {}", text_of(since)?)?;
    }
    writeln!(to, "  what to do: {}", verdict.advice())?;
    Ok(())
}

fn text_of(at: OffsetDateTime) -> anyhow::Result<String> {
    Ok(at.replace_nanosecond(0)?.format(&Rfc3339)?)
}
