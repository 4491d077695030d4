//! The yardstick: what PostgreSQL does of the same work when `pgbench` sends it.

use std::{io::Write as _, process::Command, time::Duration};

use crate::support::{
    programs::Finish as _,
    servers::{Server, postgres_bin},
};

/// Runs a script on `connections` connections. Returns the transactions per second.
pub fn rate(postgres: &Server, script: &str, connections: usize, seconds: u64) -> f64 {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let mut pgbench = Command::new(postgres_bin().join("pgbench"));
    pgbench
        .args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2"])
        .args(["--client", &connections.to_string()])
        .args(["--time", &seconds.to_string()])
        .arg("--file")
        .arg(file.path())
        .arg(postgres.url());
    let output = pgbench.finish_within(Duration::from_secs(seconds + 60));
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{text}{errors}");
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rate| rate.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("{text}{errors}"))
}
