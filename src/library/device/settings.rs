//! Settings of what is kept about devices.

use std::{str::FromStr, time::Duration};

use crate::duration::{parse_life, parse_wait};

/// Settings of what is kept about devices.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Devices")]
#[group(id = "device-settings")]
pub struct DeviceSettings {
    /// Minimum time between two writes of what one device reports. Other servers see a device up to this time late.
    #[arg(long, env, default_value = "1m", value_name = "DURATION", value_parser = parse_wait)]
    pub device_interval: Duration,
    /// Maximum number of devices of one user. Beyond the limit, the devices that were not seen for the longest time are
    /// deleted.
    #[arg(long, env, default_value_t = 50, value_name = "COUNT", value_parser = at_least_1)]
    pub max_devices_per_user: usize,
    /// How long a device is kept that makes no request.
    #[arg(long, env, default_value = "180d", value_name = "DURATION", value_parser = parse_life)]
    pub keep_devices: Duration,
    /// What a verdict depends on.
    #[command(flatten)]
    pub verdicts: VerdictSettings,
    /// Name of this server in the list of a device's streams. Defaults to a random one.
    #[arg(long, env, value_name = "NAME")]
    pub node_name: Option<String>,
}

/// What the verdict about a device depends on.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "verdict-settings")]
pub struct VerdictSettings {
    /// How long a device may take to load a change, to send its outbox or to renew its token before its verdict says that
    /// it is stuck.
    #[arg(long, env, default_value = "30s", value_name = "DURATION", value_parser = parse_wait)]
    pub device_grace: Duration,
    /// Oldest version of a client that is not reported as too old, such as `my-app/2.1`.
    #[arg(long, env, value_name = "NAME/VERSION")]
    pub min_client: Option<Client>,
}

impl Default for VerdictSettings {
    fn default() -> Self {
        Self {
            device_grace: Duration::from_secs(30),
            min_client: None,
        }
    }
}

fn at_least_1(text: &str) -> Result<usize, String> {
    let count = text.parse().map_err(|_| "must be a number".to_owned())?;
    if count == 0 {
        return Err("must be at least 1".to_owned());
    }
    Ok(count)
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self {
            device_interval: Duration::from_mins(1),
            max_devices_per_user: 50,
            keep_devices: Duration::from_hours(180 * 24),
            verdicts: VerdictSettings::default(),
            node_name: None,
        }
    }
}

/// The name and version of a client, such as `my-app/2.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    name: String,
    version: Vec<u64>,
}

impl Client {
    /// Returns whether `other` is an older version of this client.
    pub(super) fn is_newer_than(&self, other: &str) -> bool {
        other
            .parse::<Self>()
            .is_ok_and(|other| other.name == self.name && other.version < self.version)
    }
}

impl FromStr for Client {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "must be a name and a version, such as `my-app/2.1`".to_owned();
        let (name, version) = text.rsplit_once('/').ok_or_else(rule)?;
        // A suffix such as `-beta.1` or `+build` does not count.
        let numbers = version.split(['-', '+']).next().unwrap_or_default();
        let numbers = numbers.split('.').map(str::parse);
        let mut version: Vec<u64> = numbers.collect::<Result<_, _>>().map_err(|_| rule())?;
        while version.len() > 1 && version.last() == Some(&0) {
            version.pop();
        }
        if name.is_empty() {
            return Err(rule());
        }
        let name = name.to_owned();
        Ok(Self { name, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_client_are_compared_by_number() {
        let least: Client = "my-app/2.10".parse().unwrap();
        for (other, is_older) in [
            ("my-app/2.9.9", true),
            ("my-app/2.10.0", false),
            ("my-app/2.10", false),
            ("my-app/2.9-beta.1", true),
            ("my-app/10", false),
            ("other/1", false),
            ("my-app", false),
            ("my-app/x", false),
        ] {
            assert_eq!(least.is_newer_than(other), is_older, "{other}");
        }
        for wrong in ["", "/1", "my-app", "my-app/", "my-app/1.x"] {
            assert!(wrong.parse::<Client>().is_err(), "{wrong}");
        }
    }
}
